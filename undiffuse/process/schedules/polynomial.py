"""α(t) = 1 − tᵏ."""

from dataclasses import dataclass

import torch

from .schedule import Schedule, Time


@dataclass(frozen=True)
class Polynomial(Schedule):
    """α = 1 − t^power, weight power/t (MD4 "polyk"; BD3-LM "square" and "square_root")."""

    power: float = 2.0

    def __post_init__(self) -> None:
        if not self.power > 0:
            raise ValueError(f"power must be positive, not {self.power}")

    def alpha(self, t: Time) -> Time:
        return -torch.expm1(self.power * torch.log(t))

    def one_minus_alpha(self, t: Time) -> Time:
        return t**self.power

    def derivative(self, t: Time) -> Time:
        return -self.power * t ** (self.power - 1)

    def weight(self, t: Time) -> Time:
        return self.power / t

    def inverse(self, alpha: Time) -> Time:
        return (1 - alpha) ** (1 / self.power)
