"""α(t) = exp(−σ_min^{1−t} σ_max^t)."""

import math
from dataclasses import dataclass

import torch

from .schedule import Schedule, Time


@dataclass(frozen=True)
class Geometric(Schedule):
    """α = exp(−σ), σ = sigma_min^(1−t) · sigma_max^t (SEDD, RADD). Neither end is exact: α(0) < 1 and α(1) > 0."""

    sigma_min: float = 1e-4
    sigma_max: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max:
            raise ValueError(f"need 0 < sigma_min < sigma_max, not {self.sigma_min} and {self.sigma_max}")

    @property
    def _log_ratio(self) -> float:
        return math.log(self.sigma_max / self.sigma_min)

    def _sigma(self, t: Time) -> Time:
        return self.sigma_min * torch.exp(self._log_ratio * t)

    def alpha(self, t: Time) -> Time:
        return torch.exp(-self._sigma(t))

    def one_minus_alpha(self, t: Time) -> Time:
        return -torch.expm1(-self._sigma(t))

    def derivative(self, t: Time) -> Time:
        sigma = self._sigma(t)
        return -self._log_ratio * sigma * torch.exp(-sigma)

    def inverse(self, alpha: Time) -> Time:
        return torch.log(-torch.log(alpha) / self.sigma_min) / self._log_ratio
