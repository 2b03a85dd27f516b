"""Exact numbers of masked tokens instead of times.

For a network without time input the masked bound equals E over l ~ U{1..L} and uniform subsets S of size l of
(L/l) Σ_{i∈S} −ln p(x_i | x outside S) (any-order equivalence; RADD, Ou et al. 2024, LLaDA's likelihood). Drawing the
count removes the variance of a count around its mean, needs no smallest time, and is unbiased at any L.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import UserError
from ...predictor import Predictor
from ...process.interpolating import Interpolating
from ...process.prediction import Prediction
from ...process.process import Process
from ...randomness import Draws
from ...types import Batch, Noised, State
from .shared_offset import SharedOffset
from .time_draw import TimeDraw, element_draws


@dataclass(frozen=True)
class EqualCount(TimeDraw):
    """Exactly l of a row's L editable tokens are masked, l evenly spread over the batch; time-free masks only."""

    def check(self, predictor: Predictor) -> None:
        process = predictor.process
        if not isinstance(process, Interpolating) or process.destination.uniform:
            raise UserError("times 'equal-count' need masked noise; use times 'shared-offset' with this process")
        if predictor.denoiser.takes_time:
            raise UserError("times 'equal-count' need a network without time input; use times 'shared-offset'")

    def quantiles(self, batch: Batch, draws: Draws, rows: int) -> Float[Tensor, " B"]:
        return SharedOffset().quantiles(batch, draws, rows)

    def noise(self, process: Process, batch: Batch, draws: Draws, rows: int) -> Noised:
        assert isinstance(process, Interpolating)
        size = batch.editable.sum(-1)
        count = (self.quantiles(batch, draws.stream("times"), rows) * size).long() + 1
        count = torch.minimum(count, size)
        # rank editable positions by random keys; the others come last
        key = element_draws(batch, draws).stream("corrupt").uniform().where(batch.editable, 2.0)
        masked = key.argsort(-1).argsort(-1) < count[:, None]
        share = (count / size.clamp(min=1)).double()[:, None].expand(batch.ids.shape)
        t = process.schedule.inverse(1 - share).where(batch.editable, 0.0)
        ids = batch.ids.masked_fill(masked, process.vocabulary.mask)
        return Noised(batch.ids, State(ids), t, batch.editable)

    def integrand(self, process: Process, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        """(L/l)·(−ln p), written as −ln p / (1 − α(t)) at the time that has a share l/L of masks."""
        assert isinstance(process, Interpolating)
        nats = process.masked_cross_entropy(prediction, noised)
        return nats / process.schedule.one_minus_alpha(noised.t).where(noised.editable, 1.0)
