"""Ratios of probabilities in place of predictions: the score of a noisy token, what it costs and how to step with it.

Derivation, in the order of the code. Notation as in `law`; r̄ = α/(1 − α).

1  Score.      s(v) = p_t(z with z_i ← v)/p_t(z), so s(z_i) = 1. A prediction has s_θ(v) = q_θ(v)/q_θ(z). A free score
               is what a network says it is; it need not belong to any prediction, and may leave any total.
               Under masked noise s = r̄ x_θ at the mask: such networks give ln s − ln r̄ + ln K, which is of order 1
               at every t (SEDD, Lou et al. 2024, section 4.3).
2  Cost.       ℓ_t = ω_t(z) Σ_{v≠z} r_v h(ln s_v − ln r_v), r_v = q(v)/q(z), h(d) = eᵈ − 1 − d ≥ 0: score entropy, the
               path-space KL of any chain whose rates are ω(z) s_θ (SEDD, theorem 3.6, equation 8). Where q(v) = 0 the
               term is ω s_v. With the score of a prediction it is the ℓ_t of `interpolating`.
3  Tweedie.    Carry the ratios from t back to s through the inverse of the transition, and weigh them by it:
               p(z_s = v | z_t) ∝ c_v (α_{t|s}·1[v = z_t] + b_{t|s}(z_t)), c_v = (s_v − b_{t|s}(v) Σ_u s_u)/α_{t|s}
               (SEDD, theorem 4.2). The score of a prediction gives its exact kernel; of a free one, what comes out
               negative counts as zero.
4  Euler.      Jump to v ≠ z with probability h·ω_t(z) s_v, all together at most 1 (τ-leaping; SEDD, equation 15).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..randomness import Draws, draw_categorical
from ..types import Noised, State
from .law import Law, Times
from .prediction import Prediction, Spike

LEAST = 1e-3
"""Of (α/b) x_θ where ratios leave a token nothing: every decoder gives a bound, and this one a finite one."""
LATEST = 1 - 2.0**-20
"""Where rates are taken at t = 1, at which they may have no limit."""


@dataclass(frozen=True, eq=False)
class Move:
    """Masses of staying and of moving, up to a common factor, and ln p of where to, unnormalized."""

    stay: Float[Tensor, "*lead"]
    leave: Float[Tensor, "*lead"]
    target: Float[Tensor, "*lead V"]

    def draw(self, z: Int[Tensor, "*lead"], draws: Draws) -> Int[Tensor, "*lead"]:
        """The next state, from the streams that the reverse step of a prediction uses."""
        moved = draws.stream("branch").uniform() * (self.stay + self.leave) >= self.stay
        found = z.clone()
        found[moved] = draw_categorical(self.target[moved].softmax(-1), draws.stream("token")[moved])
        return found


# 1 Score


def log_scores(law: Law, prediction: Prediction, state: State, t: Times) -> Float[Tensor, "*lead V"]:
    """ln s_θ(v) over the rows of the table: 0 at the present token or mask, −∞ at rows that are no state."""
    at, z = law.marginal(t), state.ids[..., None]
    if prediction.kind == "score":
        scale = torch.zeros_like(at.alpha)
        if not law.spreads:
            scale = (at.alpha / at.mask).log() - math.log(law.vocabulary.size)
        found = prediction.logits + _column(scale, prediction.logits)
    else:
        log_q = log_marginal(law, prediction.leave_one_out(), t)
        found = log_q - log_q.gather(-1, z)
    return found.scatter(-1, z, 0.0)


def log_marginal(law: Law, log_x: Float[Tensor, "*lead V"], t: Times) -> Float[Tensor, "*lead V"]:
    """ln q_θ(v) = ln(α x_θ(v) + b_t(v)) over the rows of the table; −∞ at rows that are no state."""
    at = law.marginal(t)
    log_q = log_x + _column(at.alpha.log(), log_x)
    if law.spreads:
        log_q = torch.logaddexp(log_q, _column(at.real.log(), log_x)).index_fill(-1, _banned(law, log_x), -torch.inf)
    if law.mask is not None:
        log_q[..., law.vocabulary.mask] = at.mask.log().to(log_q.dtype)
    return log_q


def _shape(law: Law, prediction: Prediction) -> Float[Tensor, "*lead V"]:
    """ln(s_v/r̄) at the mask of masked noise: of a prediction ln x_θ, of a free score anything."""
    if prediction.kind == "score":
        return prediction.logits - math.log(law.vocabulary.size)
    return prediction.leave_one_out()


def _column(value: Times, like: Tensor) -> Tensor:
    return value[..., None].to(like.dtype)


def _banned(law: Law, like: Tensor) -> Int[Tensor, " n"]:
    return torch.tensor(law.vocabulary.unpredictable, dtype=torch.long, device=like.device)


# 2 Cost


def h(d: Tensor) -> Tensor:
    """eᵈ − 1 − d ≥ 0, to the rounding of d."""
    return d.expm1() - d


def score_entropy(law: Law, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
    """ℓ_t of a score, nats per position, by one reduction over the vocabulary; 0 where nothing is to be told."""
    # what stands at fixed positions counts for nothing, and neither does what stands decided
    told = law.informative(noised)
    t = torch.where(told, noised.t.double(), 0.5)
    z, x = noised.state.ids, noised.x0
    at, hit = law.marginal(t), z == x
    log_s = log_scores(law, prediction, noised.state, t)
    log_q_z = torch.where(hit, at.alpha, 0.0).add(law.base(at, z)).log()
    ends = torch.stack((z, x), -1)
    if law.spreads:
        d = log_s - _column(at.real.log() - log_q_z, log_s)
        d = d.index_fill(-1, _banned(law, d), 0.0).scatter(-1, ends, 0.0)
        cost = at.real * h(d).sum(-1).double()
    else:
        rest = log_s.index_fill(-1, _banned(law, log_s), -torch.inf).scatter(-1, ends, -torch.inf)
        cost = log_q_z.exp() * rest.exp().sum(-1).double()
    own = at.alpha + at.real
    log_s_x = log_s.gather(-1, x[..., None])[..., 0].double()
    cost = cost + torch.where(hit, 0.0, own * h(log_s_x - own.log() + log_q_z))
    if law.spreads and law.mask is not None:
        log_s_m = log_s[..., law.vocabulary.mask].double()
        cost = cost + at.mask * h(log_s_m - at.mask.log() + log_q_z)  # at the mask itself 0
    return torch.where(told, law.rate(z, x, t) * cost, 0.0)


def reconstruction(prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
    """−ln p(x | z) at the smallest time, nats per position, by a decoder that gives every token some probability."""
    evidence = prediction.evidence()
    assert isinstance(evidence, Spike)
    log_p = evidence.denoise(prediction.logits, LEAST).gather(-1, noised.x0[..., None])[..., 0]
    return torch.where(noised.editable, -log_p, 0.0)


# 3 Tweedie


def analytic(law: Law, prediction: Prediction, state: State, t: Times, s: Times) -> Move:
    """The reverse step from t to s under masked or uniform noise; at s = 0 no mask stays."""
    at_t, at_s, z = law.marginal(t), law.arrival(s), state.ids
    if not law.spreads:
        shape = _shape(law, prediction)
        leave = (at_s.alpha - at_t.alpha) / at_t.corrupted * shape.logsumexp(-1).double().exp()
        stay = torch.where(s > 0, (1 - leave).clamp(min=0.0), 0.0)
        masked = law.is_mask(z)
        return Move(stay.where(masked, 1.0), leave.where(masked, 0.0), shape)
    kept = at_t.alpha / at_s.alpha
    spread = (1 - kept) / law.vocabulary.size
    share = log_scores(law, prediction, state, t).softmax(-1)
    carried = (share - _column(spread, share)).clamp(min=0.0)
    stay = carried.gather(-1, z[..., None])[..., 0].double()
    return Move(stay, spread / kept * carried.sum(-1).double(), carried.log())


# 4 Euler


def leap(law: Law, prediction: Prediction, state: State, t: Times, s: Times) -> Move:
    """A jump by the rates at t, held for t − s; of predictions under every noise, of free scores under one kind."""
    z, late = state.ids, t.clamp(max=LATEST)
    if law.spreads:
        target = log_scores(law, prediction, state, late).scatter(-1, z[..., None], -torch.inf)
        rate = law.rate(z, torch.full_like(z, -1), late) * law.base(law.marginal(late), z)
    else:
        target, rate = _shape(law, prediction), law.schedule.weight(late.double()) * law.is_mask(z)
    leave = (rate * (t - s) * target.logsumexp(-1).double().exp()).clamp(max=1.0)
    return Move(1 - leave, leave, target)
