"""α(t) = (1 − t)/(1 + c(t)) with c(t) = B (t(1 − t))^{γ/2}: the keep probability of GIDD's hybrid noise."""

from dataclasses import dataclass

import torch

from .schedule import Schedule, Time


@dataclass(frozen=True)
class Gidd(Schedule):
    """Keep probability of generalized interpolating diffusion (GIDD, von Rütte et al. 2025, section 3.3).

    `uniform_share` is the share of all tokens that is uniform noise at t = ½; `shape` is γ. It belongs with the
    destination `growing-mask` of the same two values.
    """

    uniform_share: float = 0.2
    shape: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.uniform_share < 1:
            raise ValueError(f"uniform_share must lie in [0, 1), not {self.uniform_share}")
        if not self.shape > 0:
            raise ValueError(f"shape must be positive, not {self.shape}")

    def c(self, t: Time) -> Time:
        """c(t) = B (t(1 − t))^{γ/2}, B = 2^γ p_u / (1 − p_u)."""
        b = 2**self.shape * self.uniform_share / (1 - self.uniform_share)
        return b * (t * (1 - t)) ** (self.shape / 2)

    def c_derivative(self, t: Time) -> Time:
        """c'(t), for t in (0, 1)."""
        return self.c(t) * (self.shape / 2) * (1 - 2 * t) / (t * (1 - t))

    def alpha(self, t: Time) -> Time:
        return (1 - t) / (1 + self.c(t))

    def one_minus_alpha(self, t: Time) -> Time:
        c = self.c(t)
        return (t + c) / (1 + c)

    def derivative(self, t: Time) -> Time:
        c = self.c(t)
        return -(1 + c + (1 - t) * self.c_derivative(t)) / (1 + c) ** 2

    def inverse(self, alpha: Time) -> Time:
        """By bisection: α decreases, and 60 halvings reach the spacing of float64."""
        low, high = torch.zeros_like(alpha), torch.ones_like(alpha)
        for _ in range(60):
            middle = (low + high) / 2
            too_clean = self.alpha(middle) > alpha
            low, high = torch.where(too_clean, middle, low), torch.where(too_clean, high, middle)
        return (low + high) / 2
