"""The interpolating law: a token stays itself with probability α, else it is redrawn or becomes the mask.

Derivation, in the order of the code. x is the clean token, z the noisy one, K the number of real tokens, m the mask.

1  Marginal.     q_t(z | x) = α·1[z = x] + b_t(z), b_t(v) = share·(1 − α)/K (v real), b_t(m) = (1 − share)(1 − α).
2  Evidence.     ln q_t(z | v) is constant in v but for v = z, where it is higher by ln(1 + α/b_t(z)); 0 for z = m.
3  Transition.   q(z_t | z_s) = α_{t|s}·1[z_t = z_s] + b_{t|s}(z_t), α_{t|s} = α_t/α_s, b_{t|s} = b_t − α_{t|s} b_s ≥ 0.
4  Rate into z.  ω_t(z) = b'_t(z) − (α'/α) b_t(z): it does not depend on where the token comes from.
                 With w = −α'/(1 − α) and a = α/b, b the mass of one real token: ω(m)/q(m) = w/α + (ln mask share)', and
                 for real z ω(z)/q(z) = [w/α + (ln share)'] / (1 + a·1[z = x]).
5  Divergence.   With q(v) = q_t(v | x) and q_θ(v) = α x_θ(v) + b_t(v), x_θ leave-one-out,

                      KL(q ‖ q_θ)/b = Σ_v g(a x_θ(v)) + [(1 + a) ln(1 + a) − a] − a ln(1 + a x_θ(x)),
                      g(y) = y − ln(1 + y) ≥ 0,

                 a sum in which nothing cancels as α → 0. Without uniform mass KL/α = −ln x_θ(x).
6  Reverse step. p(z_s | z_t) ∝ q(z_t | z_s) q_{θ,s}(z_s) is the mixture, with total mass q_{θ,t}(z_t), of
                      copy z_t                α_{t|s} · q_{θ,s}(z_t)
                      denoise, v ~ x_θ        b_{t|s}(z_t) · α_s
                      renoise, v ~ b_s        b_{t|s}(z_t) · (1 − α_s).
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..randomness import Draws
from ..types import Noised, State
from ..vocabulary import Vocabulary
from .destinations.destination import Destination
from .prediction import Prediction, Spike
from .schedules.schedule import Schedule

Times = Float[Tensor, "..."]


@dataclass(frozen=True, eq=False)
class Marginal:
    """α, 1 − α, and b of one real token and of the mask, at some times; float64."""

    alpha: Times
    corrupted: Times
    real: Times
    mask: Times


@dataclass(frozen=True, eq=False)
class Kernel:
    """Masses of the branches of a reverse step, up to a common factor; float64, one of each per position."""

    copy: Float[Tensor, "*lead"]
    denoise: Float[Tensor, "*lead"]
    renoise: Float[Tensor, "*lead"]

    def branches(self, draws: Draws) -> tuple[Bool[Tensor, "*lead"], Bool[Tensor, "*lead"]]:
        """Draw a branch per position: whether it denoises, and whether it renoises. States of mass zero stay."""
        u = draws.stream("branch").uniform() * (self.copy + self.denoise + self.renoise)
        renoised = (u >= self.copy + self.denoise) & (self.renoise > 0)
        return (u >= self.copy) & (u < self.copy + self.denoise), renoised


@dataclass(frozen=True)
class Law:
    """Tokens of a vocabulary along a schedule α to a destination; ValueError if the three do not go together."""

    vocabulary: Vocabulary
    schedule: Schedule
    destination: Destination

    def __post_init__(self) -> None:
        if self.destination.mask and self.vocabulary.mask is None:
            raise ValueError("this destination needs a mask, and the vocabulary has none; use destination 'uniform'")
        one = torch.ones((), dtype=torch.float64)
        if self.schedule.ends[1] > 0 and not self.destination.share(one).item() > 0:
            raise ValueError(
                f"noise that ends as the mask needs α(1) = 0, or its prior term is infinite; this schedule ends at "
                f"{self.schedule.ends[1]:.2g}: choose another schedule, or destination 'uniform'"
            )
        self._check_transitions()

    def _check_transitions(self) -> None:
        """b_{t|s} ≥ 0 for s < t ⇔ b_t/α_t never falls; refuse pairs of schedule and destination that break it."""
        t = torch.linspace(0.0, 1.0, 513, dtype=torch.float64)[1:-1]
        at = self.marginal(t)
        for mass, name in ((at.real, "uniform"), (at.mask, "mask")):
            odds = mass / at.alpha
            falling = odds.diff() < -1e-12 * odds[:-1]
            if falling.any():
                where = t[:-1][falling][0].item()
                raise ValueError(
                    f"this destination cannot be combined with this schedule: the {name} share would have to be taken "
                    f"back after t = {where:.3f}"
                )

    # What goes where

    @property
    def mask(self) -> int | None:
        """The row that some tokens become; None where none does."""
        return self.vocabulary.mask if self.destination.mask else None

    @property
    def spreads(self) -> bool:
        """Whether some tokens become others."""
        return self.destination.uniform

    @property
    def constant(self) -> bool:
        """Whether the shares of the mask and of other tokens are the same at all times: one source of noise."""
        shares = self.destination.share(torch.tensor([0.25, 0.75], dtype=torch.float64))
        return bool(shares[0] == shares[1])

    # 1 Marginal

    @cached_property
    def real_tokens(self) -> Int[Tensor, " K"]:
        return torch.tensor(self.vocabulary.predictable)

    @property
    def states(self) -> Int[Tensor, " N"]:
        """Table rows that a token may be in: the real ones, and the mask where tokens become it."""
        return torch.tensor([*self.vocabulary.predictable, *(() if self.mask is None else (self.mask,))])

    def marginal(self, t: Times) -> Marginal:
        """The marginal's four numbers at each time."""
        t = t.double()
        corrupted = self.schedule.one_minus_alpha(t)
        return Marginal(
            alpha=self.schedule.alpha(t),
            corrupted=corrupted,
            real=self.destination.share(t) * corrupted / self.vocabulary.size,
            mask=self.destination.mask_share(t) * corrupted,
        )

    def arrival(self, s: Times) -> Marginal:
        """The marginal at s; at s = 0 the clean text itself, also where a schedule starts below α = 1."""
        at, noisy = self.marginal(s), s > 0
        corrupted, real, mask = (mass.where(noisy, 0.0) for mass in (at.corrupted, at.real, at.mask))
        return Marginal(at.alpha.where(noisy, 1.0), corrupted, real, mask)

    def base(self, at: Marginal, ids: Int[Tensor, "*lead"]) -> Times:
        """b_t(z) per position."""
        return torch.where(self.is_mask(ids), at.mask, at.real)

    def is_mask(self, ids: Int[Tensor, "*lead"]) -> Bool[Tensor, "*lead"]:
        mask = self.vocabulary.mask
        return torch.zeros_like(ids, dtype=torch.bool) if mask is None else ids == mask

    def draw_noise(self, share: Times, draws: Draws) -> Int[Tensor, "*lead"]:
        """A corrupted token: a uniform real token with probability `share`, else the mask; from one number."""
        u = draws.uniform()
        mask = -1 if self.vocabulary.mask is None else self.vocabulary.mask
        if not self.destination.uniform:
            return torch.full(u.shape, mask, dtype=torch.long, device=u.device)
        index = (u / share * self.vocabulary.size).nan_to_num(0.0, posinf=0.0).long()
        real = self.real_tokens.to(u.device)[index.clamp(max=self.vocabulary.size - 1)]
        return torch.where(u < share, real, mask)

    def prior(self, draws: Draws) -> State:
        """A draw of the noise at t = 1 without what is left of the text, one per key."""
        one = torch.ones((), dtype=torch.float64, device=draws.key.device)
        return State(self.draw_noise(self.destination.share(one), draws.stream("noise")))

    def corrupt(self, x0: Int[Tensor, "*lead"], t: Times, draws: Draws, editable: Bool[Tensor, "*lead"]) -> Noised:
        """Draw z ~ q_t(z | x0) at editable positions."""
        # fixed text is clean, but for masks: they stand for a prompt that is not shown
        hidden = self.is_mask(x0) if self.destination.mask else torch.zeros_like(editable)
        t = torch.where(editable, t.double(), hidden.double())
        corrupted = (draws.stream("corrupt").uniform() >= self.schedule.alpha(t)) & editable
        noise = self.draw_noise(self.destination.share(t), draws.stream("noise"))
        return Noised(x0, State(torch.where(corrupted, noise, x0)), t, editable)

    def prior_kl(self) -> float:
        """KL(q_1(· | x) ‖ prior) per token, nats."""
        at = self.marginal(torch.ones(1, dtype=torch.float64))
        if not at.alpha:
            return 0.0
        # KL = Σ π h(q/π) with h(r) = r ln r − r + 1 ≥ 0: x has the ratio 1 + α(1 − π)/π, all others 1 − α
        pi = at.real / at.corrupted
        excess = at.alpha * (1 - pi) / pi
        own = (1 + excess) * excess.log1p() - excess
        others = (1 - at.alpha) * torch.log1p(-at.alpha) + at.alpha
        return (pi * own + (1 - pi) * others).item()

    # 2 Evidence

    def log_likelihood(self, state: State, t: Times) -> Spike:
        """ln q_t(z | v) per position."""
        at = self.marginal(t)
        boost = torch.log1p(at.alpha / at.real)
        return Spike(state.ids, torch.where(self.is_mask(state.ids), 0.0, boost))

    # 3 Transition

    @staticmethod
    def kept(at_s: Marginal, at_t: Marginal) -> Times:
        """α_{t|s}; 1 where nothing is left to keep."""
        return torch.where(at_s.alpha > 0, at_t.alpha / at_s.alpha, 1.0)

    def corrupt_further(self, state: State, s: Times, t: Times, draws: Draws) -> State:
        """Draw z_t ~ q(z_t | z_s), s ≤ t."""
        at_s, at_t = self.marginal(s), self.marginal(t)
        kept = self.kept(at_s, at_t)
        corrupted = draws.stream("corrupt").uniform() >= kept
        share = 1 - (at_t.mask - kept * at_s.mask) / (1 - kept)
        return State(torch.where(corrupted, self.draw_noise(share, draws.stream("noise")), state.ids))

    # 4 Rate into z

    def rate(self, z: Int[Tensor, "*lead"], x: Int[Tensor, "*lead"], t: Times) -> Float[Tensor, "*lead"]:
        """ω_t(z)/q_t(z | x), for t in (0, 1)."""
        at, w, hit = self.marginal(t), self.schedule.weight(t.double()), z == x
        a = at.alpha / at.real
        return torch.where(
            self.is_mask(z),
            w / at.alpha + self.destination.log_mask_share_derivative(t),
            (w / at.alpha + self.destination.log_share_derivative(t)) / torch.where(hit, 1 + a, 1.0),
        )

    # 5 Divergence

    def informative(self, noised: Noised) -> Bool[Tensor, "*lead"]:
        """Where q_θ can differ from q: everywhere if some tokens become others, else at the mask."""
        if self.spreads:
            return noised.editable
        return noised.editable & self.is_mask(noised.state.ids)

    def divergence(self, at: Marginal, log_x: Float[Tensor, "*lead V"], x: Int[Tensor, "*lead"]) -> Times:
        """KL(q ‖ q_θ) of the marginals where some mass is uniform: one reduction over the vocabulary."""
        a = at.alpha / at.real
        y = a[..., None].to(log_x.dtype) * log_x.exp()
        g = (y - y.log1p()).sum(-1).double()
        at_x = (a * log_x.gather(-1, x[..., None])[..., 0].double().exp()).log1p()
        return at.real * (g + (1 + a) * a.log1p() - a - a * at_x)

    def masked_cross_entropy(self, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        """−ln p(x | z) at editable masked positions, 0 elsewhere: KL/α without uniform mass.

        There leave-one-out and posterior agree, so the logits need no conversion.
        """
        logits, x = prediction.logits, noised.x0
        nats = torch.nn.functional.cross_entropy(logits.flatten(0, -2), x.flatten(), reduction="none").view(x.shape)
        return torch.where(self.is_mask(noised.state.ids) & noised.editable, nats, 0.0)

    # 6 Reverse step

    def kernel(self, log_x: Float[Tensor, "*lead V"], state: State, t: Times, s: Times) -> Kernel:
        """The exact reverse kernel p(z_s | z_t) under a leave-one-out prediction, as masses of its three branches."""
        masked = self.is_mask(state.ids)
        spot = torch.where(masked, self.vocabulary.predictable[0], state.ids)
        x_z = log_x.gather(-1, spot[..., None])[..., 0].double().exp()
        return self.masses(state.ids, torch.where(masked, 0.0, x_z), t, s)

    def masses(self, z: Int[Tensor, "*lead"], x_z: Times, t: Times, s: Times) -> Kernel:
        """x_z is the leave-one-out probability of the present token, 0 at the mask."""
        at_t, at_s = self.marginal(t), self.arrival(s)
        alpha_ts = self.kept(at_s, at_t)
        b_t, b_s = self.base(at_t, z), self.base(at_s, z)
        b_ts = (b_t - alpha_ts * b_s).clamp(min=0.0)
        copy = alpha_ts * (at_s.alpha * x_z + b_s)
        return Kernel(copy, denoise=b_ts * at_s.alpha, renoise=b_ts * at_s.corrupted)

    def settled(self, ids: Int[Tensor, "*lead"], s: Times) -> Bool[Tensor, "*lead"]:
        """Tokens that no step from time s on changes."""
        return (s <= 0).expand(ids.shape) if self.spreads else ~self.is_mask(ids)

    def transition(self, log_x: Float[Tensor, "*lead V"], state: State, t: Times, s: Times) -> Float[Tensor, "*lead V"]:
        """ln p(z_s = v | z_t) over the rows of the table: the kernel written out, for those who weigh it."""
        masses = self.kernel(log_x, state, t, s)
        total = masses.copy + masses.denoise + masses.renoise
        copy, denoise, renoise = (
            (mass / total).where(total > 0, of_none).log()
            for mass, of_none in ((masses.copy, 1.0), (masses.denoise, 0.0), (masses.renoise, 0.0))
        )
        # in logarithms: what guidance divides by may be smaller than the smallest number of the type
        rows = log_x + denoise[..., None].to(log_x.dtype)
        share = self.destination.share(s.double())
        if self.destination.uniform:
            banned = torch.tensor(self.vocabulary.unpredictable, dtype=torch.long, device=log_x.device)
            noise = (renoise + (share / self.vocabulary.size).log())[..., None]
            rows = torch.logaddexp(rows, noise.to(log_x.dtype)).index_fill(-1, banned, -torch.inf)
        if self.vocabulary.mask is not None:
            rows[..., self.vocabulary.mask] = (renoise + (1 - share).log()).to(log_x.dtype)
        own = rows.gather(-1, state.ids[..., None])
        return rows.scatter(-1, state.ids[..., None], torch.logaddexp(own, copy[..., None].to(log_x.dtype)))
