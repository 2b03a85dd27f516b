"""α(t) = 1 − (1 − end) t."""

from dataclasses import dataclass

import torch

from .schedule import Schedule, Time


@dataclass(frozen=True)
class Affine(Schedule):
    """α = 1 − (1 − end) t, a line that keeps the share `end`: "loglinear" as Duo and MDLM compute it, with ε = 1e-3."""

    end: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 < self.end < 1:
            raise ValueError(f"end must lie between 0 and 1, not {self.end}; at 0 it is 'one-minus-t'")

    def alpha(self, t: Time) -> Time:
        return (1 - t) + self.end * t

    def one_minus_alpha(self, t: Time) -> Time:
        return (1 - self.end) * t

    def derivative(self, t: Time) -> Time:
        return torch.full_like(t, self.end - 1)

    def inverse(self, alpha: Time) -> Time:
        return (1 - alpha) / (1 - self.end)
