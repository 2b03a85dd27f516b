"""One noise level in each of as many strata as there are rows."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ...randomness import Draws
from ...types import Batch
from .time_draw import TimeDraw


@dataclass(frozen=True)
class Stratified(TimeDraw):
    """Independent times, one in each stratum [j/rows, (j + 1)/rows); a keyed permutation assigns strata to rows."""

    def quantiles(self, batch: Batch, draws: Draws, rows: int) -> Float[Tensor, " B"]:
        stratum = draws.stream("strata").along(rows).order()[batch.slot]
        return (stratum + draws.at(batch.slot).uniform()) / rows
