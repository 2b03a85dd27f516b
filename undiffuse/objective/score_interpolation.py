"""Cross-entropy on noisy vectors, along a curve of noise on which it grows evenly (CDCD, Dieleman et al. 2022).

The score of the noisy vectors is interpolated from token probabilities, (α x̂ − z)/σ² with x̂ = Σ_v p(v | z) e_v, so
that cross-entropy alone trains it, and keeps the vectors apart. Noise is drawn where the loss changes: the curve is
fitted to the loss at each noise, by an error of its own that moves nothing else, and times are uniform along it.

The loss is no bound. A model trained by it is scored by the bound of `process/gaussian.py`, which holds for every
estimate x̂ of the vectors; nothing here minimizes that bound.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UserError
from ..predictor import Predictor
from ..process.needs import on_vectors
from ..randomness import Draws
from ..types import Batch
from .objective import VECTORS, Loss, Objective, count, summed
from .times.shared_offset import SharedOffset


@runtime_checkable
class Fitted(Protocol):
    """A curve that is fitted to the loss."""

    def misfit(self, gamma: Float[Tensor, "*n"], nats: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """What is to be minimized, from nats per token at some noises."""
        ...


@dataclass(frozen=True)
class ScoreInterpolation(Objective):
    """Unweighted −ln p(x | z) at noise along a warped time (CDCD). Trains a posterior head; no bound.

    `feedback` is the share of rows with two passes, of a network that takes feedback.
    """

    feedback: float = 0.5

    head = "posterior"
    is_bound = False
    needs = VECTORS

    def __post_init__(self) -> None:
        if not 0 <= self.feedback <= 1:
            raise ValueError(f"feedback must lie in [0, 1], not {self.feedback}")

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        if not isinstance(on_vectors(predictor.process).curve, Fitted):
            raise UserError(
                "objective 'score-interpolation' fits the curve of noise to its loss: set "
                'process.gamma="learned" and model.noise_curve="warp"'
            )

    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        process, sites = on_vectors(predictor.process), batch.editable
        noised = SharedOffset().noise(process, batch, draws, rows)
        fed = draws.stream("feedback").at(batch.index, batch.epoch).uniform() < self.feedback
        nats = -predictor.predict_again(noised, batch, sites, fed).log_prob(batch.ids[sites])
        curve = process.curve
        assert isinstance(curve, Fitted)
        each, row = count(sites, batch)[sites].double(), sites.nonzero()[:, 0]
        tokens = torch.zeros_like(noised.t[:, 0]).index_add(0, row, each)
        total = torch.zeros_like(tokens).index_add(0, row, nats.detach().double() * each)
        gamma = curve.at(noised.t.amax(-1))[0]
        misfit = (curve.misfit(gamma, total / tokens.where(tokens > 0, 1)) * tokens).sum()
        found = summed(nats, sites, noised, sites, batch)
        # its gradient, and not its value, belongs to the loss
        return Loss(found.sum + misfit - misfit.detach(), found.weight, found.bucket_nats, found.bucket_tokens)
