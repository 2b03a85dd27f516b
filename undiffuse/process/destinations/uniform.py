"""Every corrupted token becomes a uniformly drawn real token."""

from dataclasses import dataclass

import torch

from ..schedules.schedule import Time
from .destination import Destination


@dataclass(frozen=True)
class Uniform(Destination):
    """All corrupted tokens become a uniformly drawn real token (UDLM, Duo, SEDD-uniform); needs no mask."""

    uniform = True
    mask = False

    def share(self, t: Time) -> Time:
        return torch.ones_like(t)

    def mask_share(self, t: Time) -> Time:
        return torch.zeros_like(t)

    def log_share_derivative(self, t: Time) -> Time:
        return torch.zeros_like(t)

    def log_mask_share_derivative(self, t: Time) -> Time:
        return torch.zeros_like(t)
