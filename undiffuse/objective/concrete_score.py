"""Concrete score matching: the squared distance of free ratios from the true ones, a reference for score entropy.

The ratios s_θ(v) are compared with r_v = q_t(v | x)/q_t(z | x), whose mean given z is the score p_t(v)/p_t(z), so that
the minimum is the same (Meng et al. 2022, theorem 2, in its denoising form). The weight ω_t(z)/r̄ with the largest ratio
that there is, r̄ = (α + b)/b_t(z), keeps the loss finite as t → 0; it depends on t and z alone, which the argument
needs. Ratios that are small count for little in a square and for much in a text: nothing is bounded.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from ..predictor import Predictor
from ..process.law import Law
from ..process.needs import law_of
from ..process.prediction import Prediction
from ..process.scores import log_scores
from ..randomness import Draws
from ..types import Batch, Noised
from .objective import Loss, Objective, summed
from .score_entropy import SCORED, refuse_counts
from .times.estimator import Estimator
from .times.shared_offset import SharedOffset


@dataclass(frozen=True)
class ConcreteScore(Objective):
    """Weighted squares of free ratios less the true ones (concrete score matching). Trains a score head; no bound."""

    times: Estimator = field(default_factory=SharedOffset)

    head = "score"
    is_bound = False
    needs = SCORED

    def __post_init__(self) -> None:
        refuse_counts(self.times)

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        self.times.check(predictor)

    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        process = predictor.process
        noised = self.times.noise(process, batch, draws, rows, predictor.traits.block_length)
        sites = process.informative(noised)
        values = squares(law_of(process), predictor.predict(noised, batch, sites), noised[sites])
        return summed(values, sites, noised, batch.editable, batch)


def squares(law: Law, prediction: Prediction, noised: Noised) -> Float[Tensor, " M"]:
    """ω_t(z)/r̄ Σ_{v≠z} (s_v − r_v)² at informative positions, as ω_t(z) r̄ Σ (s_v/r̄ − r_v/r̄)²."""
    z, x, t = noised.state.ids, noised.x0, noised.t.double()
    at, hit = law.marginal(t), z == x
    base = law.base(at, z)
    q_z, most = base + torch.where(hit, at.alpha, 0.0), (at.alpha + at.real) / base
    log_s = log_scores(law, prediction, noised.state, t)
    share = (log_s - most.log()[:, None].to(log_s.dtype)).exp()  # s/r̄; −∞ where there is no token
    other, own = at.real / q_z / most, (at.alpha + at.real) / q_z / most
    banned = torch.tensor(law.vocabulary.unpredictable, dtype=torch.long, device=z.device)
    gap = (share - other[:, None].to(share.dtype)).index_fill(-1, banned, 0.0)
    gap = gap.scatter(-1, torch.stack((z, x), -1), 0.0)
    missed = torch.where(hit, 0.0, share.gather(-1, x[:, None])[:, 0].double() - own)
    return law.rate(z, x, t) * q_z * most * (gap.square().sum(-1).double() + missed.square())
