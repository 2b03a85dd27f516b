"""What a network's output means, and the one additive term between its two meanings.

Let z be the noisy text and z_i its token at position i. Two distributions over the clean token x_i are in use:

    leave-one-out   p(x_i | z without z_i)    the optimum of the bound of every interpolating process
    posterior       p(x_i | all of z)         the optimum of cross-entropy

By Bayes, posterior ∝ leave-one-out · q_t(z_i | x_i): in logits they differ by λ_v = ln q_t(z_i | v), the evidence of
the position's own token. For discrete noise λ is a constant plus a boost on the observed token. Under masked noise the
boost is 0 at masked positions, so the two agree there; under uniform noise swapping them costs up to a nat per token.
For Gaussian noise λ is linear in the embedding of v.

A third kind is the score, ratios p_t(v)/p_t(z_i) of the noisy law, which a network may give freely (`scores`). At the
mask of masked noise it is proportional to both; under uniform noise it has a posterior, by its step to t = 0, and no
leave-one-out form.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import UserError
from ..types import HeadKind

LEAST = 1e-9
"""What is left of the share of a token that free ratios put below the noise, in units of it."""


@dataclass(frozen=True, eq=False)
class Spike:
    """ln q_t(z | v) up to a constant, when it depends only on whether v = z: `boost` at v = `index`, 0 elsewhere.

    An infinite boost says that the token is known to be clean. At an index that no clean token has (the mask) the boost
    is 0.
    """

    index: Int[Tensor, "*lead"]
    boost: Float[Tensor, "*lead"]

    def __getitem__(self, index: object) -> "Spike":
        return Spike(self.index[index], self.boost.expand(self.index.shape)[index])

    def add_to(self, logits: Float[Tensor, "*lead V"]) -> Float[Tensor, "*lead V"]:
        """Normalized log-probabilities of logits + λ; one-hot where the boost is infinite."""
        boost, index = self.boost.to(logits.dtype)[..., None], self.index[..., None]
        known = boost.isinf()
        raised = logits.scatter_add(-1, index, boost.masked_fill(known, 0.0)).log_softmax(-1)
        own = raised.gather(-1, index).masked_fill(known, 0.0)
        # where autograd keeps nothing, two copies of V numbers are saved
        barred = torch.zeros_like(boost).masked_fill(known, -torch.inf)
        if raised.requires_grad:
            return (raised + barred).scatter(-1, index, own)
        return raised.add_(barred).scatter_(-1, index, own)

    def subtract_from(self, logits: Float[Tensor, "*lead V"]) -> Float[Tensor, "*lead V"]:
        """Normalized log-probabilities of logits − λ.

        A posterior with infinite evidence holds nothing about the leave-one-out distribution; such rows come back as
        they are (no bound or sampler reads them: the token is known).
        """
        boost = self.boost.to(logits.dtype)[..., None]
        lowered = logits.scatter_add(-1, self.index[..., None], -boost.where(boost.isfinite(), 0.0))
        return lowered.log_softmax(-1)

    def denoise(self, log_score: Float[Tensor, "*lead V"], least: float = 0.0) -> Float[Tensor, "*lead V"]:
        """ln p(x = v | z) of a score, normalized: its analytic step to t = 0 (see `scores`).

        At the mask the score is proportional to it. Under uniform noise it is so to α x_θ + b, and a free one may lie
        below b: (α/b) x_θ is then `least`.
        """
        return self.add_to(self.cleared(log_score, least))

    def cleared(self, log_score: Float[Tensor, "*lead V"], least: float) -> Float[Tensor, "*lead V"]:
        """The same without the evidence: ln p(x = v | z without z_i) up to a constant."""
        factor = self.boost.to(log_score.dtype)[..., None].expm1()  # α/b
        factor = factor.masked_fill(factor.isinf(), 0.0)
        tokens = log_score.isfinite().sum(-1, keepdim=True)
        above = (log_score.softmax(-1) * (tokens + factor) - 1).clamp(min=least)
        flat = ~self._shown(log_score) | ~(above > 0).any(-1, keepdim=True)
        return torch.where(flat, log_score, above.log())

    def invert(self, log_score: Float[Tensor, "*lead V"]) -> Float[Tensor, "*lead V"]:
        """ln p(x = v | z without z_i) of a score, normalized; UserError but under masked noise."""
        if (self._shown(log_score)[..., 0] & self.boost.isfinite()).any():
            raise UserError(
                "this model gives ratios of probabilities, which have no leave-one-out form under uniform noise: use "
                "strategy 'tweedie' or 'euler'"
            )
        return log_score.log_softmax(-1)

    def _shown(self, log_score: Float[Tensor, "*lead V"]) -> Tensor:
        """Where a token stands, not the mask; (*lead, 1)."""
        return log_score.gather(-1, self.index[..., None]).isfinite()


@dataclass(frozen=True, eq=False)
class Dense:
    """ln q_t(z | v) = ⟨query, table_v⟩ − cost·|table_v|² up to a constant, under Gaussian noise.

    The query is (α/σ²) z, the cost α²/(2σ²).

    An infinite cost says that there is no noise: the token is `index`.
    """

    query: Float[Tensor, "*lead d"]
    table: Float[Tensor, "V d"]
    cost: Float[Tensor, "*lead"]
    index: Int[Tensor, "*lead"]

    def __getitem__(self, index: object) -> "Dense":
        return Dense(self.query[index], self.table, self.cost[index], self.index[index])

    def add_to(self, logits: Float[Tensor, "*lead V"]) -> Float[Tensor, "*lead V"]:
        """Normalized log-probabilities of logits + λ; one-hot where there is no noise."""
        raised = self._with(logits, 1).log_softmax(-1)
        known = self.cost.isinf()[..., None]
        own = torch.zeros_like(self.cost, dtype=logits.dtype)[..., None]
        certain = torch.full_like(raised, -torch.inf).scatter(-1, self.index[..., None], own)
        return torch.where(known, certain, raised)

    def subtract_from(self, logits: Float[Tensor, "*lead V"]) -> Float[Tensor, "*lead V"]:
        """Normalized log-probabilities of logits − λ; as they are where there is no noise (see `Spike`)."""
        return self._with(logits, -1).log_softmax(-1)

    def _with(self, logits: Tensor, sign: int) -> Tensor:
        """logits ± λ in one product: the norms are one more column of the table."""
        cost = self.cost.where(self.cost.isfinite(), 0.0)
        query = torch.cat((self.query, -cost[..., None]), dim=-1).to(logits.dtype).flatten(0, -2)
        table = torch.cat((self.table, self.table.square().sum(-1, keepdim=True)), dim=-1).to(logits.dtype)
        return torch.addmm(logits.flatten(0, -2), query, table.T, alpha=sign).view(logits.shape)


@dataclass(frozen=True, eq=False)
class Columns:
    """ln q_t(z | v) of every row v of the table, −∞ at those that cannot have become z; written out in a given type."""

    logs: Callable[[torch.dtype], Float[Tensor, "*lead V"]]

    def __getitem__(self, index: object) -> "Columns":
        return Columns(lambda dtype: self.logs(dtype)[index])

    def add_to(self, logits: Float[Tensor, "*lead V"]) -> Float[Tensor, "*lead V"]:
        """Normalized log-probabilities of logits + λ."""
        return (logits + self.logs(logits.dtype)).log_softmax(-1)

    def subtract_from(self, logits: Float[Tensor, "*lead V"]) -> Float[Tensor, "*lead V"]:
        """Normalized log-probabilities of logits − λ, where λ is finite; as they are elsewhere (see `Spike`)."""
        logs = self.logs(logits.dtype)
        return (logits - logs.where(logs.isfinite(), 0.0)).log_softmax(-1)


LogLik = Spike | Dense | Columns
"""λ_v = ln q_t(z | v) per position, up to a constant over v."""


Rows = Float[Tensor, "*lead V"]
Mix = Callable[[tuple[Rows, ...]], Rows]
"""ln p of every token at every position, one law from each of several predictions → one law, up to a constant."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Several predictions of the same positions, and how laws of the tokens at a time that are made of them are mixed.

    `at` takes the time of each position: 0 for laws of the clean tokens, s for those of a reverse step to s.
    """

    parts: "tuple[Prediction, ...]"
    at: Callable[[Float[Tensor, "*lead"]], Mix]

    @cached_property
    def _clean(self) -> Mix:
        return self.at(torch.zeros_like(self.parts[0].logits[..., 0]))

    def posterior(self) -> Rows:
        return self._clean(tuple(part.posterior() for part in self.parts)).log_softmax(-1)

    def leave_one_out(self) -> Rows:
        """The posterior without the evidence, which has weight 1 in the mixture, since γ + (1 − γ) = 1."""
        return self._clean(tuple(part.leave_one_out() for part in self.parts)).log_softmax(-1)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Logits over the V rows at some positions, with unpredictable rows at −inf, and what they mean.

    `evidence` gives λ = ln q_t(z_i | v) of the same positions when a conversion needs it. Of kind score the logits are
    ln s, under masked noise up to a constant, with 0 at the present token. `vectors` are the clean embeddings as a
    network predicts that gives those in place of logits, which then are their rounding. A `mixture` takes the place of
    what the logits say, which are those of its first part.
    """

    logits: Float[Tensor, "*lead V"]
    kind: HeadKind
    evidence: Callable[[], LogLik]
    vectors: Float[Tensor, "*lead d"] | None = field(default=None, kw_only=True)
    mixture: Mixture | None = field(default=None, kw_only=True)

    def leave_one_out(self) -> Float[Tensor, "*lead V"]:
        """ln p(x_i = v | z without z_i), normalized."""
        if self.mixture is not None:
            return self.mixture.leave_one_out()
        if self.kind == "leave_one_out":
            return self.logits.log_softmax(-1)
        if self.kind == "score":
            return self._spike.invert(self.logits)
        return self.evidence().subtract_from(self.logits)

    def posterior(self) -> Float[Tensor, "*lead V"]:
        """ln p(x_i = v | z), normalized."""
        if self.mixture is not None:
            return self.mixture.posterior()
        if self.kind == "posterior":
            return self.logits.log_softmax(-1)
        if self.kind == "score":
            return self._spike.denoise(self.logits)
        return self.evidence().add_to(self.logits)

    def apart(self) -> Float[Tensor, "*lead V"]:
        """ln p(x_i = v | all but z_i), normalized, of every kind: what is said of a token, not what it is drawn from.

        Ratios are read for what they amount to, where a token is no likelier than noise at LEAST times that; a rounded
        vector knows nothing of evidence, and is what it is.
        """
        if self.vectors is not None:
            return self.posterior()
        if self.kind == "score" and self.mixture is None:
            return self._spike.cleared(self.logits, LEAST).log_softmax(-1)
        return self.leave_one_out()

    def log_prob(self, ids: Int[Tensor, "*lead"]) -> Float[Tensor, "*lead"]:
        """ln p(x_i = ids | z), nats."""
        return self.posterior().gather(-1, ids[..., None])[..., 0]

    @property
    def _spike(self) -> Spike:
        evidence = self.evidence()
        assert isinstance(evidence, Spike), "scores are of discrete noise"
        return evidence
