"""Exact numbers of masked tokens instead of times.

For a network without time input the masked bound equals E over l ~ U{1..L} and uniform subsets S of size l of
(L/l) Σ_{i∈S} −ln p(x_i | x outside S) (any-order equivalence; RADD, Ou et al. 2024, LLaDA's likelihood). Drawing the
count removes the variance of a count around its mean, needs no smallest time, and is unbiased at any L. The identity
holds for every function of S, hence inside each attention block, whether the count is that of a block or of a row.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import UserError
from ...predictor import Predictor
from ...process.needs import Need, continuous, jumps_to_mask, law_of
from ...process.prediction import Prediction
from ...process.process import Process
from ...randomness import Draws
from ...types import Batch, Noised, State
from .estimator import WHOLE, Cells, Estimator, element_draws
from .shared_offset import SharedOffset


@dataclass(frozen=True)
class EqualCount(Estimator):
    """Exactly l of L editable tokens of a row or block are masked, l evenly spread over the batch; masks only."""

    draws_times = False
    needs = (
        Need(
            jumps_to_mask,
            "times 'equal-count' need masked noise; use times 'shared-offset' with this process",
        ),
        Need(continuous, "times 'equal-count' are not those of steps of noise; use times 'shared-offset'"),
    )

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        if "level" in predictor.traits.takes:
            raise UserError("times 'equal-count' need a network without time input; use times 'shared-offset'")

    def quantiles(self, cells: Cells, draws: Draws) -> Float[Tensor, "B C"]:
        return SharedOffset().quantiles(cells, draws)

    def noise(
        self,
        process: Process,
        batch: Batch,
        draws: Draws,
        rows: int,
        span: int | None = None,
        clip: tuple[float, float] = WHOLE,
    ) -> Noised:
        cells = self.cells(batch, rows, span)
        size = cells.sizes(batch)
        count = (self.levels(cells, draws, clip) * size).long() + 1
        count = torch.minimum(count, size)
        # rank the editable positions of each cell by random keys; the others come last
        key = element_draws(batch, draws).stream("corrupt").uniform().where(batch.editable, 2.0)
        rank = (key + 3 * cells.of).argsort(-1).argsort(-1)
        every = torch.zeros_like(size).scatter_add(1, cells.of, torch.ones_like(cells.of))
        masked = rank < cells.at(every.cumsum(-1) - every + count)
        share = cells.at(count / size.clamp(min=1).double())
        t = process.time_at(1 - share).where(batch.editable, 0.0)
        assert process.mask is not None
        ids = batch.ids.masked_fill(masked, process.mask)
        return Noised(batch.ids, State(ids), t, batch.editable)

    def integrand(self, process: Process, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        """(L/l)·(−ln p), written as −ln p / (1 − α(t)) at the time that has a share l/L of masks."""
        law = law_of(process)
        nats = law.masked_cross_entropy(prediction, noised)
        return nats / law.schedule.one_minus_alpha(noised.t).where(noised.editable, 1.0)
