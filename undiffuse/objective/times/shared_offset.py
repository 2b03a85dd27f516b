"""Evenly spaced noise levels with one random offset."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ...randomness import Draws
from .estimator import Cells, Estimator


@dataclass(frozen=True)
class SharedOffset(Estimator):
    """Evenly spaced times with one random offset (u + j/n) mod 1, permuted over the global batch (VDM, MD4)."""

    def quantiles(self, cells: Cells, draws: Draws) -> Float[Tensor, "B C"]:
        place = draws.stream("strata").along(cells.total).order()[cells.slot]
        return (draws.uniform() + place / cells.total) % 1.0
