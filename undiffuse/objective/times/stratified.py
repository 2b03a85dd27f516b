"""One noise level in each of as many strata as there are levels to draw."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ...randomness import Draws
from .estimator import Cells, Estimator


@dataclass(frozen=True)
class Stratified(Estimator):
    """Independent times, one in each of n strata [j/n, (j + 1)/n); a keyed permutation assigns the strata."""

    def quantiles(self, cells: Cells, draws: Draws) -> Float[Tensor, "B C"]:
        stratum = draws.stream("strata").along(cells.total).order()[cells.slot]
        return (stratum + draws.at(cells.slot).uniform()) / cells.total
