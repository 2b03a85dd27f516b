"""The mask's share of the corrupted tokens grows from 0 to 1: GIDD's hybrid noise."""

from dataclasses import dataclass

from ..schedules.gidd import Gidd
from ..schedules.schedule import Time
from .destination import Destination


@dataclass(frozen=True)
class GrowingMask(Destination):
    """Corrupted tokens are uniform early and the mask late: share = c/(t + c) (GIDD, von Rütte et al. 2025).

    With schedule `gidd` of the same two values, the marginals are (1 − t)/C on the token, c/(KC) on each real token
    and t/C on the mask, C = 1 + c.
    """

    uniform_share: float = 0.2
    shape: float = 1.0

    uniform = True
    mask = True

    def __post_init__(self) -> None:
        if not 0 < self.uniform_share < 1:
            raise ValueError(f"uniform_share must lie strictly between 0 and 1, not {self.uniform_share}")

    @property
    def _curve(self) -> Gidd:
        return Gidd(self.uniform_share, self.shape)

    def share(self, t: Time) -> Time:
        c = self._curve.c(t)
        return (c / (t + c)).where(t > 0, 1.0)

    def mask_share(self, t: Time) -> Time:
        return (t / (t + self._curve.c(t))).where(t > 0, 0.0)

    def log_share_derivative(self, t: Time) -> Time:
        c, c_derivative = self._curve.c(t), self._curve.c_derivative(t)
        return c_derivative / c - (1 + c_derivative) / (t + c)

    def log_mask_share_derivative(self, t: Time) -> Time:
        return 1 / t - (1 + self._curve.c_derivative(t)) / (t + self._curve.c(t))
