"""Where corrupted tokens go: a share of them becomes a uniformly drawn token, the rest becomes the mask."""

from abc import ABC, abstractmethod

from ..schedules.schedule import Time


class Destination(ABC):
    """share(t): which part of the corrupted mass 1 − α(t) is uniform over the K real tokens; the rest is the mask.

    Every method takes and returns float64 of any shape. The two shares add up to 1, and each logarithmic derivative is
    the derivative of the logarithm of its share (zero where that share is zero).
    """

    uniform: bool  # some mass goes to real tokens
    mask: bool  # some mass goes to the mask

    @abstractmethod
    def share(self, t: Time) -> Time:
        """Share of corrupted tokens that are uniform draws."""

    @abstractmethod
    def mask_share(self, t: Time) -> Time:
        """1 − share(t), accurate where it is near 0."""

    @abstractmethod
    def log_share_derivative(self, t: Time) -> Time:
        """d/dt ln share(t), for t in (0, 1)."""

    @abstractmethod
    def log_mask_share_derivative(self, t: Time) -> Time:
        """d/dt ln mask_share(t), for t in (0, 1)."""
