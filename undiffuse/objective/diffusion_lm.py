"""Regression on embeddings, and a rounding that keeps them apart, trained end to end (Diffusion-LM, Li et al. 2022).

The network gives x̂, an estimate of the embedding e of each token, d numbers. Per token, with x_0 = e + e^{γ(0)/2} ε,
the noised embedding that the chain ends in:

    |e − x̂(z_t, t)|²/d  +  α(1)² |x_0|²/d  −  ln p(w | x_0),    t uniform, p the rounding of `process/gaussian.py`

The gradient of all three flows into the embeddings. The first alone has its minimum where all of them are one point;
the last, which is of the noised true embedding and not of the network's, is what keeps them apart.

The paper regresses on x_0 but at the first step, where it has e. Of x_0 the noise that z_t shares with it can be told
from z_t: its best estimate is x̂ + κ(z_t/α − x̂), κ = e^{γ(0) − γ(t)}, and |x_0 − that|² is (1 − κ)²|e − x̂|² and a
constant in the mean (law `diffusion-lm/noised-target`). So e is the target here at every t: x̂ is what the reverse step
and the bound are written in, and an estimate of x_0 passed off as it would cost up to d/4 nats.

The loss is no bound: it counts squares alike at every noise, and per number. A model trained by it is scored by the
bound of `process/gaussian.py`, which holds for every estimate x̂; nothing here minimizes that bound.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UserError
from ..predictor import Predictor
from ..process.gaussian import FIRST
from ..process.needs import on_vectors
from ..randomness import Draws
from ..types import Batch, Noised
from .objective import VECTORS, Loss, Objective, summed
from .times.estimator import Estimator, element_draws
from .times.shared_offset import SharedOffset


@dataclass(frozen=True, eq=False)
class Terms:
    """The three terms at the M editable positions, and the noised batch of the first."""

    estimate: Float[Tensor, " M"]
    end: Float[Tensor, " M"]
    rounding: Float[Tensor, " M"]
    noised: Noised


@dataclass(frozen=True)
class DiffusionLM(Objective):
    """Squared error of predicted embeddings, their size at the end of noise, and the nats of rounding; no bound."""

    times: Estimator = field(default_factory=SharedOffset)

    head = "posterior"
    is_bound = False
    needs = VECTORS

    def __post_init__(self) -> None:
        if not self.times.draws_times:
            raise ValueError("times 'equal-count' are of masked noise alone; use 'shared-offset'")

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        process = on_vectors(predictor.process)
        if predictor.traits.gives == "logits":
            raise UserError(
                "objective 'diffusion-lm' trains a network that predicts embeddings: model.output=\"embedding\""
            )
        if process.gamma.learned:
            raise UserError("objective 'diffusion-lm' trains no curve of noise: set process.gamma=\"square-root\"")
        if "feedback" in predictor.traits.takes:
            raise UserError(
                "objective 'diffusion-lm' shows the network no estimate of its own: set model.feedback=false"
            )
        self.times.check(predictor)

    def terms(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Terms:
        """One draw of each term, per position: squares per number of an embedding, and nats."""
        process, sites = on_vectors(predictor.process), batch.editable
        noised = self.times.noise(process, batch, draws, rows)
        ids = batch.ids[sites]
        missed = process.embed(ids).double() - process.estimate(predictor.predict(noised, batch, sites)).double()
        first = torch.full(batch.ids.shape, FIRST, dtype=torch.float64, device=batch.ids.device)
        start = process.corrupt(batch.ids, first, element_draws(batch, draws.stream("start")), sites)[sites]
        assert start.state.latent is not None
        end = process.at(torch.ones_like(start.t)).alpha / process.at(start.t).alpha
        log_p = process.round_latent(start.state.latent, start.t)
        return Terms(
            missed.square().mean(-1),
            (end[:, None] * start.state.latent).square().mean(-1),
            -log_p.gather(-1, ids[:, None])[:, 0].double(),
            noised,
        )

    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        found = self.terms(predictor, batch, draws, rows)
        return summed(found.estimate + found.end + found.rounding, batch.editable, found.noised, batch.editable, batch)
