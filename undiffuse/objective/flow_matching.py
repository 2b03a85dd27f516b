"""Discrete flow matching (Gat et al. 2024): the bound of a process whose tokens jump straight to the clean ones.

On the path z is the clean token with probability α(t), else the source's (the mask, or a uniform token). The rates that
lead each z_t to its own x jump to x at the rate w = −α'/(1 − α) and stay there; a model jumps to a draw from its
posterior p at the same rate. The path-space KL between the two is a generalized KL divergence of rates,

    ℓ_t = w · { 1[z = x] − p(z) − 1[z ≠ x]·ln p(x) },

whose optimum is the posterior p(x_i | z), and ∫ E ℓ_t dt bounds −ln p. From masks this is the bound of masked noise.
From uniform tokens it is not tight, even with the exact posterior: averaged over x, "jump to x and stay" is no Markov
chain. One token with p = (.5, .3, .2) costs 1.3148 nats of a true 1.0297 (`verify flow`). So models are scored by the
bound of `interpolating` instead, after the conversion to leave-one-out, which has no such gap.

Near t = 0 the rate is unbounded, and a network that is a little unsure of clean tokens pays p(z) < 1 at all of them:
training leaves out the times below `floor`. It is also why the network's output is read as leave-one-out by default:
the evidence of the token itself, known in closed form, is added to it before the loss. The optimum is the same; but of
uniform tokens, after the reference training of the recipe, the bound is 3.52 bits per byte, and 10.6 if the network has
to learn that evidence (`output` = posterior, as published).
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..predictor import Predictor
from ..process.law import Law
from ..process.needs import Need, jumps_one_way, law_of
from ..process.prediction import Prediction
from ..randomness import Draws
from ..types import Batch, HeadKind, Noised
from .objective import Loss, Objective, summed
from .times.estimator import Estimator
from .times.shared_offset import SharedOffset


@dataclass(frozen=True)
class FlowMatching(Objective):
    """w·(1[z = x] − p(z) − 1[z ≠ x] ln p(x)), p the posterior (flow matching): a bound, loose under uniform noise.

    `output` says what the network gives; the loss reads its posterior either way.
    """

    output: Literal["leave_one_out", "posterior"] = "leave_one_out"
    floor: float = 1e-3
    times: Estimator = field(default_factory=SharedOffset)

    needs = (
        Need(
            jumps_one_way,
            "objective 'flow-matching' has one source: set process.destination to mask or uniform; mixtures have "
            "objective 'bound'",
        ),
    )

    def __post_init__(self) -> None:
        if not 0 <= self.floor < 1:
            raise ValueError(f"floor must lie in [0, 1), not {self.floor}")
        if not self.times.draws_times:
            raise ValueError("times 'equal-count' are of masked noise alone; use 'shared-offset'")

    @property
    def head(self) -> HeadKind:  # type: ignore[override]
        return self.output

    @property
    def is_bound(self) -> bool:  # type: ignore[override]
        return self.floor == 0

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        self.times.check(predictor)

    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        process = predictor.process
        clip = (self.floor, 1.0)
        noised = self.times.noise(process, batch, draws, rows, predictor.traits.block_length, clip)
        sites = process.informative(noised)
        nats = flow_bound(law_of(process), predictor.predict(noised, batch, sites), noised[sites])
        return summed(nats, sites, noised, batch.editable, batch)


def flow_bound(law: Law, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
    """ℓ_t of flow matching at informative positions, nats; t in (0, 1]."""
    log_p, z, x = prediction.posterior(), noised.state.ids, noised.x0
    at_x = log_p.gather(-1, x[..., None])[..., 0].double()
    at_z = log_p.gather(-1, z[..., None])[..., 0].double()
    nats = torch.where(z == x, -at_z.expm1(), -at_z.exp() - at_x)
    return law.schedule.weight(noised.t.double()) * nats
