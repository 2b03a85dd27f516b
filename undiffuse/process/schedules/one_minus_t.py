"""α(t) = 1 − t."""

from dataclasses import dataclass

import torch

from .schedule import Schedule, Time


@dataclass(frozen=True)
class OneMinusT(Schedule):
    """α = 1 − t, weight 1/t. Published as "linear" (LLaDA, MD4) and as "loglinear" (MDLM, SEDD, RADD, BD3-LM)."""

    linear = True

    def alpha(self, t: Time) -> Time:
        return 1 - t

    def one_minus_alpha(self, t: Time) -> Time:
        return t

    def derivative(self, t: Time) -> Time:
        return -torch.ones_like(t)

    def inverse(self, alpha: Time) -> Time:
        return 1 - alpha
