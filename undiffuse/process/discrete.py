"""Interpolating noise seen at T + 1 times only: discrete-time diffusion (D3PM, Austin et al. 2021) and its bound.

Derivation, in the order of the code; notation of `law`. Times are t = k/T, s = (k − 1)/T, k = 1 … T.

1  Steps.  The transition of step k is q(z_t | z_s) of the law: (1 − β) I + β 1πᵀ with β = 1 − α_t/α_s where the
           destination is constant. α = 1 − t gives β = 1/(T − k + 1), D3PM's schedule for masks.
2  Bound.  −ln p(x) ≤ KL(q_1(· | x) ‖ prior) + Σ_k E KL(q(z_s | z_t, x) ‖ p_θ(z_s | z_t)). The reverse step is the
           plug-in kernel q(z_t | z_s) q_{θ,s}(z_s)/q_{θ,t}(z_t), so with r_t = q_t(z | x)/q_{θ,t}(z) at the present z

               KL_k = h·(KL(q_s ‖ q_{θ,s}) − ln r_s) + ln r_s − ln r_t,   h = b_{t|s}(z)/q_t(z | x),

           one reduction over the vocabulary, as in continuous time. For masks it is −ln x_θ(x) (α_s − α_t)/(1 − α_t).
           Step 1 arrives at the clean text: KL_1 = −ln x_θ(x) − ln r_t = −ln p_θ(x | z_1) is the reconstruction term,
           the other steps are the diffusion term.
3  Limit.  T·KL_k → ℓ_t: the sum falls to the continuous bound as T grows, with an excess of the order of 1/T.
"""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..randomness import Draws
from ..types import Noised
from ..vocabulary import Vocabulary
from .destinations.destination import Destination
from .destinations.mask import Mask
from .jumps import Jumps
from .law import Law, Marginal, Times
from .prediction import Prediction
from .schedules.one_minus_t import OneMinusT
from .schedules.schedule import Schedule


@dataclass(frozen=True)
class Discrete(Jumps):
    """Interpolating noise in `steps` steps: times are rounded up to the next step, and the bound is that of the steps.

    The integral of `bound` over t in (0, 1) is the sum over the steps, the first of which is the reconstruction.
    Sampling may take as many steps as training or fewer.
    """

    vocabulary: Vocabulary
    schedule: Schedule = field(default_factory=OneMinusT)
    destination: Destination = field(default_factory=Mask)
    steps: int = 1000

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")
        assert self.law  # ValueError if the three do not go together

    @cached_property
    def law(self) -> Law:
        return Law(self.vocabulary, self.schedule, self.destination)

    def corrupt(self, x0: Int[Tensor, "*lead"], t: Times, draws: Draws, editable: Bool[Tensor, "*lead"]) -> Noised:
        return super().corrupt(x0, (t.double() * self.steps).ceil() / self.steps, draws, editable)

    def bound(self, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        k = (noised.t.double() * self.steps).round().clamp(min=1)
        t, s = k / self.steps, (k - 1) / self.steps
        at_t, at_s = self.law.marginal(t), self.law.arrival(s)
        if not self.law.spreads:
            opened = (at_s.alpha - at_t.alpha) / at_t.corrupted
            return self.steps * opened * self.law.masked_cross_entropy(prediction, noised)

        z, x, first = noised.state.ids, noised.x0, k == 1
        inner = self.law.marginal(torch.where(first, t, s))  # a time at which there is noise
        log_x = prediction.leave_one_out()
        b_t, b_s = self.law.base(at_t, z), self.law.base(inner, z)
        h = (b_t - at_t.alpha / inner.alpha * b_s) / (b_t + at_t.alpha * (z == x))
        log_r_t, log_r_s = (self._log_ratio(at, log_x, z, x) for at in (at_t, inner))
        kl = h * (self.law.divergence(inner, log_x, x) - log_r_s) + log_r_s - log_r_t
        reconstruction = -log_x.gather(-1, x[..., None])[..., 0].double() - log_r_t
        return torch.where(noised.editable, self.steps * torch.where(first, reconstruction, kl), 0.0)

    def _log_ratio(
        self, at: Marginal, log_x: Float[Tensor, "*lead V"], z: Int[Tensor, "*lead"], x: Int[Tensor, "*lead"]
    ) -> Times:
        """ln q(z | x)/q_θ(z); 0 at the mask."""
        masked = self.law.is_mask(z)
        a = (at.alpha / at.real).nan_to_num(0.0)  # a growing mask leaves 0/0 at t = 1
        spot = torch.where(masked, self.vocabulary.predictable[0], z)
        of_model = (a * log_x.gather(-1, spot[..., None])[..., 0].double().exp()).log1p()
        return torch.where(masked, 0.0, torch.where(z == x, a.log1p(), 0.0) - of_model)

    def reconstruction(self, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        """The first step, for states at its end."""
        return self.bound(prediction, noised) / self.steps
