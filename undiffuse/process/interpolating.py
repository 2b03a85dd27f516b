"""Every interpolating process in continuous time: masked, uniform, stationary mixtures, a growing mask; one bound.

Derivation; notation of `law`. With r = q(z)/q_θ(z), x_θ leave-one-out,

    ℓ_t(z, x) = ω_t(z)/q(z) · { KL(q ‖ q_θ) + r − 1 − ln r },   −ln p(x) ≤ prior + ∫₀¹ E ℓ_t dt + reconstruction.

The path-space KL between true and plugged-in reverse chains is Σ_{y≠z} ω(z) [s_θ − s + s ln(s/s_θ)], ratios
s(y) = q(y)/q(z); since ω does not depend on y the sum collapses to KL plus a pointwise Itakura–Saito term (GIDD,
von Rütte et al. 2025, theorem 3.2; for masked noise MDLM eq. 10, for uniform noise UDLM eq. 18). Of a free score it is
the score entropy of `scores`.
"""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from ..types import Noised
from ..vocabulary import Vocabulary
from .destinations.destination import Destination
from .destinations.mask import Mask
from .jumps import Jumps
from .law import Law
from .prediction import Prediction
from .schedules.one_minus_t import OneMinusT
from .schedules.schedule import Schedule
from .scores import reconstruction, score_entropy


@dataclass(frozen=True)
class Interpolating(Jumps):
    """Noise that keeps a token with probability α(t) and otherwise redraws it: from the real tokens, or as the mask."""

    vocabulary: Vocabulary
    schedule: Schedule = field(default_factory=OneMinusT)
    destination: Destination = field(default_factory=Mask)

    def __post_init__(self) -> None:
        assert self.law  # ValueError if the three do not go together

    @cached_property
    def law(self) -> Law:
        return Law(self.vocabulary, self.schedule, self.destination)

    def bound(self, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        if prediction.kind == "score":
            return score_entropy(self.law, prediction, noised)
        # fixed positions have t = 0, where rates have no limit; what stands there counts for nothing
        t = torch.where(noised.editable, noised.t.double(), 0.5)
        if not self.law.spreads:
            return self.schedule.weight(t) * self.law.masked_cross_entropy(prediction, noised)
        z, x = noised.state.ids, noised.x0
        at, masked = self.law.marginal(t), self.law.is_mask(z)
        log_x = prediction.leave_one_out()
        a, kl = at.alpha / at.real, self.law.divergence(at, log_x, x)

        spot = torch.where(masked, self.vocabulary.predictable[0], z)
        at_z = (a * log_x.gather(-1, spot[..., None])[..., 0].double().exp()).log1p()
        hit = z == x
        log_r = torch.where(hit, a.log1p(), 0.0) - at_z
        itakura_saito = torch.where(masked, 0.0, log_r.expm1() - log_r)
        return torch.where(noised.editable, self.law.rate(z, x, t) * (kl + itakura_saito), 0.0)

    def reconstruction(self, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        if prediction.kind == "score":
            return reconstruction(prediction, noised)
        return torch.where(noised.editable, -prediction.log_prob(noised.x0), 0.0)
