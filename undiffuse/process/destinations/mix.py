"""A constant share of the corrupted tokens is uniform, the rest is the mask."""

from dataclasses import dataclass

import torch

from ..schedules.schedule import Time
from .destination import Destination


@dataclass(frozen=True)
class Mix(Destination):
    """A constant share `uniform_share` of corrupted tokens is uniform, the rest the mask (stationary mix: XDLM)."""

    uniform_share: float = 0.1

    uniform = True
    mask = True

    def __post_init__(self) -> None:
        if not 0 < self.uniform_share < 1:
            raise ValueError(
                f"uniform_share must lie strictly between 0 (destination 'mask') and 1 ('uniform'), "
                f"not {self.uniform_share}"
            )

    def share(self, t: Time) -> Time:
        return torch.full_like(t, self.uniform_share)

    def mask_share(self, t: Time) -> Time:
        return torch.full_like(t, 1 - self.uniform_share)

    def log_share_derivative(self, t: Time) -> Time:
        return torch.zeros_like(t)

    def log_mask_share_derivative(self, t: Time) -> Time:
        return torch.zeros_like(t)
