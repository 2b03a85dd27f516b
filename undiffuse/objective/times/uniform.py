"""Independent noise levels."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ...randomness import Draws
from .estimator import Cells, Estimator


@dataclass(frozen=True)
class Uniform(Estimator):
    """Independent times: each is drawn from U(0, 1)."""

    def quantiles(self, cells: Cells, draws: Draws) -> Float[Tensor, "B C"]:
        return draws.at(cells.index, cells.epoch).uniform()
