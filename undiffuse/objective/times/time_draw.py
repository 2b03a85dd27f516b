"""How noise levels are drawn for the rows of a batch, and what the draw makes of the bound's integrand."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from ...predictor import Predictor
from ...process.prediction import Prediction
from ...process.process import Process
from ...randomness import Draws
from ...types import Batch, Noised


class TimeDraw(ABC):
    """Every draw is marginally uniform over noise levels; they differ in how rows of one batch depend on each other."""

    @abstractmethod
    def quantiles(self, batch: Batch, draws: Draws, rows: int) -> Float[Tensor, " B"]:
        """One level in (0, 1) per row; `rows` is the size of the global batch, `batch.slot` the place in it."""

    def check(self, predictor: Predictor) -> None:  # noqa: B027 (most draws suit every process)
        """Raise UserError when this draw has no meaning for the process or network."""

    def noise(self, process: Process, batch: Batch, draws: Draws, rows: int) -> Noised:
        """Corrupt a batch: one time per row."""
        t = self.quantiles(batch, draws.stream("times"), rows)[:, None].expand(batch.ids.shape)
        return process.corrupt(batch.ids, t, element_draws(batch, draws), batch.editable)

    def integrand(self, process: Process, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        """Nats per position whose expectation, summed over positions, is the diffusion term of the bound."""
        return process.bound(prediction, noised)


def element_draws(batch: Batch, draws: Draws) -> Draws:
    """One key per token, from the sample's name, its epoch and the absolute position."""
    return draws.at(batch.index, batch.epoch)[:, None].at(batch.positions)
