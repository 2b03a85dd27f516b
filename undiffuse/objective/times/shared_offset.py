"""Evenly spaced noise levels with one random offset."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ...randomness import Draws
from ...types import Batch
from .time_draw import TimeDraw


@dataclass(frozen=True)
class SharedOffset(TimeDraw):
    """Evenly spaced times with one random offset (u + j/rows) mod 1, permuted over the global batch (VDM, MD4)."""

    def quantiles(self, batch: Batch, draws: Draws, rows: int) -> Float[Tensor, " B"]:
        place = draws.stream("strata").along(rows).order()[batch.slot]
        return (draws.uniform() + place / rows) % 1.0
