"""α(t) = cos(πt/2)."""

import math
from dataclasses import dataclass

import torch

from .schedule import Schedule, Time


@dataclass(frozen=True)
class Cos(Schedule):
    """α = cos(πt/2), weight (π/2) cot(πt/4). "cosine" of MDLM and BD3-LM: 29 % masked at t = ½."""

    def alpha(self, t: Time) -> Time:
        return torch.sin(math.pi / 2 * (1 - t))

    def one_minus_alpha(self, t: Time) -> Time:
        return 2 * torch.sin(math.pi / 4 * t) ** 2

    def derivative(self, t: Time) -> Time:
        return -math.pi / 2 * torch.sin(math.pi / 2 * t)

    def weight(self, t: Time) -> Time:
        return math.pi / 2 / torch.tan(math.pi / 4 * t)

    def inverse(self, alpha: Time) -> Time:
        return 2 / math.pi * torch.acos(alpha)
