"""Evenly spaced noise levels with one random offset."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ...randomness import Draws
from .estimator import Cells, Estimator

LEAST = 2.0**-25
"""In place of 0, which is no level: half of the least distance of float32 numbers near 1."""


@dataclass(frozen=True)
class SharedOffset(Estimator):
    """Evenly spaced times with one random offset (u + j/n) mod 1, permuted over the global batch (VDM, MD4)."""

    def quantiles(self, cells: Cells, draws: Draws) -> Float[Tensor, "B C"]:
        place = draws.stream("strata").along(cells.total).order()[cells.slot]
        levels = (draws.uniform() + place / cells.total) % 1.0
        return levels.masked_fill(levels == 0, LEAST)  # float32 rounds to 1, which is 0 once in 10^7
