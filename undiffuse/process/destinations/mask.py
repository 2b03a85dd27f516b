"""Every corrupted token becomes the mask: absorbing noise."""

from dataclasses import dataclass

import torch

from ..schedules.schedule import Time
from .destination import Destination


@dataclass(frozen=True)
class Mask(Destination):
    """All corrupted tokens become the mask (absorbing noise: MDLM, MD4, LLaDA, RADD)."""

    uniform = False
    mask = True

    def share(self, t: Time) -> Time:
        return torch.zeros_like(t)

    def mask_share(self, t: Time) -> Time:
        return torch.ones_like(t)

    def log_share_derivative(self, t: Time) -> Time:
        return torch.zeros_like(t)

    def log_mask_share_derivative(self, t: Time) -> Time:
        return torch.zeros_like(t)
