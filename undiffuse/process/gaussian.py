"""Gaussian noise on the embeddings of tokens, with one bound for every curve of noise.

Derivation, in the order of the code. x is a token, e_x its embedding, d numbers, of norm 1 unless embeddings are free;
γ the noise curve; for each position, and nats throughout.

1  Marginal.     q_t(z | x) = N(α e_x, σ² I), α² = sigmoid(−γ), σ² = sigmoid(γ): variances add up to 1. Noise that
                 explodes, z' = e_x + τ ε (CDCD), is the same with γ = 2 ln τ, seen through z = z'/√(1 + τ²);
                 embeddings of norm √d and noise up to τ are those of norm 1 and noise up to τ/√d.
2  Evidence.     ln q_t(z | v) = (α/σ²)⟨z, e_v⟩ − (α²/2σ²)|e_v|² up to a constant: what turns the leave-one-out logits
                 of a network into the posterior (PLAID, Gulrajani & Hashimoto 2023, calls it the output prior).
3  Estimate.     x̂(z) = Σ_v p_θ(v | z) e_v, p_θ the posterior: a mean of embeddings, never any other point. A network
                 that predicts vectors gives x̂ itself (Diffusion-LM, Li et al. 2022), and tokens by the rounding
                 p(v | x) ∝ exp(−|x − e_v|²/2) of x̂: the tied head ⟨x, e_v⟩ with bias −|e_v|²/2, whose most probable
                 token is the nearest one.
4  Bound.        −ln p(x) ≤ KL(q_1(· | x) ‖ N(0, I)) + ½ ∫₀¹ E γ'(t) e^{−γ(t)} |e_x − x̂|² dt + E −ln p_θ(x | z_0)
                 (VDM, Kingma et al. 2021, eq. 14). As t → 0 the noise does not vanish: γ(0) is the noise of the text
                 that the tokens are read from, and the last term is what that reading costs. With the exact posterior
                 and γ from −∞ to ∞ the sum is the entropy, since ½ ∫ mmse dSNR is the information (I-MMSE).
                 It depends on the curve through γ(0) and γ(1) alone: what lies between only moves the variance.
                 Where the network predicts vectors p_θ(x | z_0) is the rounding of the noisy z_0/α_0, not of x̂.
5  Reverse step. p(z_s | z_t) = N((α_s/α_t)(1 − c) z_t + α_s c x̂, σ_s² c), c = 1 − e^{γ_s − γ_t}; s = 0 reads the tokens
                 from p_θ(x | z): the posterior, or the rounding of z_0. Without its noise, and with the same marginals
                 as steps grow, Euler's step of the probability flow (Song et al. 2021), in the variables where the
                 flow is straight for a fixed x̂: z_s = α_s x̂ + σ_s ε̂, ε̂ = (z_t − α_t x̂)/σ_t. A score temperature τ
                 divides ε̂ by τ, which makes another x̂ of it (PLAID).

Fixed text has t = 0: the network sees its embedding without noise, at level 0, which no noisy position has.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import UserError
from ..randomness import Draws, draw_categorical
from ..types import Noised, State
from ..vocabulary import Vocabulary
from .gammas.gamma import Curve, Gamma
from .gammas.linear import Linear
from .prediction import Dense, Prediction
from .process import Process, Stepped

Times = Float[Tensor, "..."]

FIRST = torch.finfo(torch.float64).tiny
"""The time of the least noise: t = 0 is clean."""


@dataclass(frozen=True, eq=False)
class NoiseLevel:
    """γ and its derivative at some times, float64; γ = −∞ at t = 0."""

    gamma: Times
    slope: Times

    @property
    def alpha(self) -> Times:
        return torch.sigmoid(-self.gamma).sqrt()

    @property
    def sigma(self) -> Times:
        return torch.sigmoid(self.gamma).sqrt()


@dataclass(frozen=True)
class Gaussian(Process):
    """Noise that is added to learned embeddings, along a curve γ(t); the tables are those of a network (`bind`).

    `embeddings` are `unit`, of norm 1, or `free`: as the table has them, which begins with numbers of variance 1.
    """

    vocabulary: Vocabulary
    gamma: Gamma = field(default_factory=Linear)
    embeddings: Literal["unit", "free"] = "unit"

    moves_vectors = True

    def __post_init__(self) -> None:
        if self.embeddings not in ("unit", "free"):
            raise ValueError(f"embeddings are unit or free, not {self.embeddings!r}")

    def bind(self, tables: Mapping[str, Any]) -> "Gaussian":
        if "vectors" not in tables:
            raise UserError("Gaussian noise is added to vectors, and this network has none: set model.latent=16")
        given = self.__dict__.get("given")
        return self._having(vectors=tables["vectors"], bound_curve=given or self.gamma.bind(tables))

    def along(self, curve: Curve) -> "Gaussian":
        """The process with another curve than its network's, which stays when tables are bound again."""
        return self._having(given=curve, bound_curve=curve)

    def evenly(self) -> "Gaussian":
        """The process along the line between the ends of its curve, which has the same bound and even weights.

        A learned curve stays: it was trained for the variance of the bound's estimate.
        """
        if self.gamma.learned:
            return self
        start, end = self.curve.at(torch.tensor([0.0, 1.0], dtype=torch.float64))[0].tolist()
        return self.along(Linear(start, end))

    def with_evidence(self, share: float) -> "Gaussian":
        """The process with a share of its evidence: what is added to leave-one-out logits, while it is ramped up."""
        return self._having(share=share)

    def _having(self, **tables: object) -> "Gaussian":
        """With tables that are no part of the configuration."""
        bound = copy.copy(self)
        for name, value in tables.items():
            object.__setattr__(bound, name, value)
        return bound

    def _table(self, name: str) -> Any:
        if name not in self.__dict__:
            raise TypeError("Gaussian noise needs the tables of a network: bind(tables) first")
        return self.__dict__[name]

    # Facts

    @property
    def mask(self) -> None:
        return None

    @property
    def shows_tokens(self) -> bool:
        return True

    @property
    def unread_is_drawn(self) -> bool:
        return False

    @property
    def starts_clean(self) -> bool:
        return False

    # 1 Marginal

    @property
    def curve(self) -> Curve:
        """γ and its derivative."""
        return cast(Curve, self._table("bound_curve"))

    @property
    def size(self) -> int:
        """d, the numbers of a latent."""
        return int(self._table("vectors").shape[1])

    @property
    def table(self) -> Float[Tensor, "V d"]:
        """The embeddings, float32 or wider."""
        return self._normed(self._table("vectors"))

    def embed(self, ids: Int[Tensor, "*lead"]) -> Float[Tensor, "*lead d"]:
        return self._normed(self._table("vectors")[ids])

    def _normed(self, vectors: Float[Tensor, "*lead d"]) -> Float[Tensor, "*lead d"]:
        wide = vectors if vectors.dtype == torch.float64 else vectors.float()
        return torch.nn.functional.normalize(wide, dim=-1) if self.embeddings == "unit" else wide

    @property
    def spread(self) -> float:
        """The variance of a number of an embedding; where embeddings are free, as they begin."""
        return 1 / self.size if self.embeddings == "unit" else 1.0

    def at(self, t: Times) -> NoiseLevel:
        """The noise at each time: none at t = 0, γ(0) right after it."""
        gamma, slope = self.curve.at(t.double())
        return NoiseLevel(gamma.where(t > 0, -torch.inf), slope)

    def level(self, t: Times) -> Times:
        return torch.sigmoid(self.at(t).gamma)

    def noise(self, draws: Draws) -> Float[Tensor, "*lead d"]:
        """Normal numbers, float64, one vector per key."""
        return torch.special.ndtri(draws.stream("noise").along(self.size).uniform())

    def unread(self, draws: Draws) -> Int[Tensor, "*lead"]:
        """What noise reads as before anybody has read it: the row of the mask, where the vocabulary has one."""
        mask = self.vocabulary.mask
        return torch.full_like(draws.key, self.vocabulary.predictable[0] if mask is None else mask)

    def prior(self, draws: Draws) -> State:
        return State(self.unread(draws), self.noise(draws))

    def time_at(self, kept: Times) -> Times:
        raise UserError(
            "noise on vectors replaces no tokens, so that there is no time at which a share of them is kept"
        )

    def error_share(self, ids: Int[Tensor, " n"], t: Float[Tensor, ""], draws: Draws) -> Float[Tensor, ""]:
        """The share of vectors, one draw each, of which the nearest is another token's."""
        at, everywhere = t.expand(ids.shape), torch.ones_like(ids, dtype=torch.bool)
        evidence = self.log_likelihood(self.corrupt(ids, at, draws, everywhere).state, at)
        blank = torch.full((len(ids), self.vocabulary.rows), -torch.inf, device=ids.device)
        real = torch.tensor(self.vocabulary.predictable, device=ids.device)
        nearest = evidence.add_to(blank.index_fill(-1, real, 0.0)).argmax(-1)
        return (nearest != ids).double().mean()

    def corrupt(self, x0: Int[Tensor, "*lead"], t: Times, draws: Draws, editable: Bool[Tensor, "*lead"]) -> Noised:
        t = torch.where(editable, t.double().clamp(min=FIRST), 0.0)
        return self.diffuse(x0, self.embed(x0), t, draws, editable)

    def diffuse(
        self,
        x0: Int[Tensor, "*lead"],
        x: Float[Tensor, "*lead d"],
        t: Float[Tensor, "*lead"],
        draws: Draws,
        editable: Bool[Tensor, "*lead"],
    ) -> Noised:
        """α x + σ ε of given embeddings x, at times of which every one is the position's own."""
        at = self.at(t)
        z = at.alpha[..., None] * x + at.sigma[..., None] * self.noise(draws)
        return Noised(x0, State(torch.where(editable, self.unread(draws), x0), z), t, editable)

    def shown(
        self, state: State, t: Times, feedback: Float[Tensor, "*lead d"] | None
    ) -> tuple[State, Times, Float[Tensor, "*lead d"]]:
        """Numbers of variance 1 whatever the noise; where t = 0 the embeddings of the tokens, also as feedback.

        Noisy positions without a latent are unknown: at t = 1, at the mean of the prior, which says nothing of a token.
        """
        x, clean = self.embed(state.ids), (t <= 0)[..., None]
        if state.latent is None:
            t = (t > 0).to(t.dtype)
        at = self.at(t)
        scale = (at.alpha.square() * self.spread + at.sigma.square()).rsqrt()[..., None]
        noisy = torch.zeros_like(x) if state.latent is None else state.latent
        estimate = torch.zeros_like(x) if feedback is None else feedback.to(x.dtype)
        latent = torch.where(clean, x.to(noisy.dtype), noisy) * scale
        return State(state.ids, latent), t, torch.where(clean, x, estimate) * self.spread**-0.5

    # 2 Evidence

    def log_likelihood(self, state: State, t: Times) -> Dense:
        at = self.at(t if state.latent is not None else (t > 0).double())
        precision = at.alpha / at.sigma.square() * self.__dict__.get("share", 1.0)
        cost = (at.alpha * precision / 2).expand(state.ids.shape)
        noisy = torch.zeros_like(self.embed(state.ids)) if state.latent is None else state.latent
        query = torch.where(t[..., None] > 0, precision[..., None], 0.0) * noisy
        return Dense(query, self.table, cost, state.ids)

    # 3 Estimate

    def estimate(self, prediction: Prediction) -> Float[Tensor, "*lead d"]:
        """x̂: the network's own where it predicts vectors, else the mean embedding under the posterior."""
        if prediction.vectors is not None:
            return prediction.vectors
        log_p = prediction.posterior()
        return log_p.exp() @ self.table.to(log_p.dtype)

    def rounding(self, x: Float[Tensor, "*lead d"]) -> Float[Tensor, "*lead V"]:
        """ln p(v | x) up to a constant: −|x − e_v|²/2 + |x|²/2, −∞ at rows that are no prediction."""
        table = self.table
        bias = -table.square().sum(-1) / 2
        excluded = torch.tensor(self.vocabulary.unpredictable, device=bias.device).long()
        bias = bias.index_fill(0, excluded, -torch.inf)
        return torch.addmm(bias, x.to(table.dtype).flatten(0, -2), table.T).view(*x.shape[:-1], -1)

    def round_latent(self, latent: Float[Tensor, "*lead d"], t: Times) -> Float[Tensor, "*lead V"]:
        """ln p(v | z_t), the rounding of z_t/α_t, normalized."""
        return self.rounding(latent / self.at(t).alpha[..., None]).log_softmax(-1)

    # 4 Bound

    def informative(self, noised: Noised) -> Bool[Tensor, "*lead"]:
        return noised.editable

    def bound(self, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        return self.integrand(self.embed(noised.x0), self.estimate(prediction), noised)

    def integrand(
        self, x: Float[Tensor, "*lead d"], estimate: Float[Tensor, "*lead d"], noised: Noised
    ) -> Float[Tensor, "*lead"]:
        """½ γ' e^{−γ} |x − x̂|², nats per position; fixed positions count for nothing."""
        at = self.at(torch.where(noised.editable, noised.t, 0.5))
        missed = (x.double() - estimate.double()).square().sum(-1)
        return torch.where(noised.editable, at.slope * (-at.gamma).exp() * missed / 2, 0.0)

    def prior_cost(self, x0: Int[Tensor, "*lead"]) -> Float[Tensor, "*lead"]:
        """KL(q_1(· | x) ‖ N(0, I)) of each token, nats: ½(α²|e|² − d(α² + ln(1 − α²)))."""
        at = self.at(torch.ones((), dtype=torch.float64, device=x0.device))
        kept = at.alpha.square()
        square = self.embed(x0).double().square().sum(-1) if self.embeddings == "free" else torch.ones_like(x0)
        return (kept * square - self.size * (kept + torch.log1p(-kept))) / 2

    def prior_kl(self) -> float:
        tokens = torch.tensor(self.vocabulary.predictable, device=self._table("vectors").device)
        return self.prior_cost(tokens).max().item()

    def reconstruction(self, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        log_p = prediction.log_prob(noised.x0)
        if prediction.vectors is not None:
            assert noised.state.latent is not None
            t = torch.where(noised.editable, noised.t, FIRST)
            log_p = self.round_latent(noised.state.latent, t).gather(-1, noised.x0[..., None])[..., 0]
        return torch.where(noised.editable, -log_p, 0.0)

    # 5 Reverse step

    def reads(self, state: State, t: Times, s: Times, draws: Draws) -> Bool[Tensor, "*lead"]:
        return torch.ones_like(state.ids, dtype=torch.bool)

    def kernel(
        self, estimate: Float[Tensor, "*lead d"], latent: Float[Tensor, "*lead d"], t: Times, s: Times
    ) -> tuple[Float[Tensor, "*lead d"], Times]:
        """Mean and standard deviation of p(z_s | z_t), 0 < s ≤ t."""
        at_t, at_s = self.at(t), self.at(s)
        share = -torch.expm1(at_s.gamma - at_t.gamma)
        kept = (at_s.alpha / at_t.alpha * (1 - share))[..., None] * latent
        mean = kept + (at_s.alpha * share)[..., None] * estimate
        return mean, at_s.sigma * share.sqrt()

    def tempered(
        self, estimate: Float[Tensor, "*lead d"], latent: Float[Tensor, "*lead d"], t: Times, temperature: float
    ) -> Float[Tensor, "*lead d"]:
        """The estimate whose noise ε̂ is that of x̂, divided by a temperature."""
        alpha = self.at(t).alpha[..., None]
        return (latent - (latent - alpha * estimate) / temperature) / alpha

    def flow(
        self, estimate: Float[Tensor, "*lead d"], latent: Float[Tensor, "*lead d"], t: Times, s: Times
    ) -> Float[Tensor, "*lead d"]:
        """Euler's step of the probability flow from t to s."""
        at_t, at_s = self.at(t), self.at(s)
        rest = latent - at_t.alpha[..., None] * estimate
        return at_s.alpha[..., None] * estimate + (at_s.sigma / at_t.sigma)[..., None] * rest

    def step(self, prediction: Prediction, state: State, t: Times, s: Times, draws: Draws) -> Stepped:
        assert state.latent is not None
        t, s = (time.double().expand(state.ids.shape) for time in (t, s))
        posterior = replace(prediction, logits=prediction.posterior(), kind="posterior")
        ends, s = s <= 0, s.clamp(min=FIRST)
        mean, std = self.kernel(self.estimate(posterior).double(), state.latent, t, s)
        latent = mean + std[..., None] * self.noise(draws)
        read = posterior.logits if prediction.vectors is None else self.round_latent(latent, s)
        drawn = draw_categorical(read.exp(), draws.stream("token"))
        ids = torch.where(ends, drawn, posterior.logits.argmax(-1))
        return Stepped(State(ids, torch.where(ends[..., None], self.embed(ids).double(), latent)), ends)
