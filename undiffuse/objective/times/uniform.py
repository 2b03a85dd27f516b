"""Independent noise levels."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ...randomness import Draws
from ...types import Batch
from .time_draw import TimeDraw


@dataclass(frozen=True)
class Uniform(TimeDraw):
    """Independent times: every row draws its own t ~ U(0, 1)."""

    def quantiles(self, batch: Batch, draws: Draws, rows: int) -> Float[Tensor, " B"]:
        return draws.at(batch.index, batch.epoch).uniform()
