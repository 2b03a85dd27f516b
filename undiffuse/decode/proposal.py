"""From a prediction to a proposal: a token for every site, how sure it is, and its log-probability."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import UserError
from ..process.prediction import Prediction
from ..randomness import Draws, draw_categorical

CONFIDENCES = ("raw", "filtered")
COLD = 1e-30
"""The least temperature that float32 log-probabilities can be divided by."""
NEARLY = 1e-4  # nats: how close to certain a token is when float32 begins to lose the difference
HOT = 1e30
"""The largest one: beyond it tokens that are excluded would count."""
Joint = Callable[[Tensor, "Draws | None"], "Restricted | None"]
"""(ln p of every token at every site (R, M, V), keys or None for the best) → what a constraint makes of them."""


@dataclass(frozen=True)
class Filters:
    """How a token is chosen from p(x_i | z): temperature first, then top-k, then top-p (the boundary token is kept).

    Temperature 0, and any below `COLD`, takes the most probable token, the lowest id among equals. `confidence` says
    which distribution ranks positions: `raw`, the model's own (LLaDA), or `filtered`, after temperature (at 0: none)
    and filters (Dream).
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0
    confidence: str = "raw"

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise UserError(f"temperature must be 0 or more, not {self.temperature}; 1 samples the model as it is")
        if self.temperature > HOT:
            raise UserError(
                f"temperature must be at most {HOT:g}, not {self.temperature:g}: all tokens are equal there"
            )
        if self.temperature < COLD:
            object.__setattr__(self, "temperature", 0.0)
        if self.top_k is not None and self.top_k < 1:
            raise UserError(f"top-k must be at least 1, not {self.top_k}")
        if self.confidence not in CONFIDENCES:
            raise UserError(f"confidence is 'raw' or 'filtered', not {self.confidence!r}")
        if not 0 < self.top_p <= 1:
            raise UserError(f"top-p must lie in (0, 1], not {self.top_p}; 1 keeps every token")

    @property
    def neutral(self) -> bool:
        """Whether the model's distribution is sampled unchanged."""
        return self.temperature == 1 and self.top_k is None and self.top_p == 1

    def apply(self, log_p: Float[Tensor, "*lead V"]) -> Float[Tensor, "*lead V"]:
        """Normalized log-probabilities after temperature (0 leaves them as they are), top-k and top-p."""
        scaled = (log_p / self.temperature).log_softmax(-1) if self.temperature else log_p
        if self.top_k is not None and self.top_k < scaled.shape[-1]:
            scaled = _keep(scaled, self.top_k, 1.0)
        if self.top_p < 1:
            scaled = _keep(scaled, scaled.shape[-1], self.top_p)
        return scaled


def _keep(log_p: Tensor, count: int, mass: float) -> Tensor:
    """Keep the `count` most probable tokens, of those the fewest that reach `mass`; lowest id first."""
    ordered, index = log_p.sort(dim=-1, descending=True, stable=True)
    p = ordered.exp()
    dropped = p.cumsum(-1) - p >= mass
    dropped[..., count:] = True
    return log_p.masked_fill(torch.zeros_like(dropped).scatter(-1, index, dropped), -torch.inf).log_softmax(-1)


@dataclass(frozen=True, eq=False)
class Proposal:
    """Per site: the token, and ln p(token | z) of the unfiltered model (nats).

    `ranked` is the same under `ranks`, the log-probabilities that rank sites: raw or filtered.
    """

    ids: Int[Tensor, "R M"]
    ranked: Float[Tensor, "R M"]
    logp: Float[Tensor, "R M"]
    ranks: Float[Tensor, "R M V"]

    @property
    def confidence(self) -> Float[Tensor, "R M"]:
        """The token's probability, of the distribution that ranks sites."""
        return self.ranked.exp()

    @property
    def odds(self) -> Float[Tensor, "R M"]:
        """The logarithm of its odds (nats), which orders as the probability does.

        It moves by what logits move, also of nearly certain tokens: what is near-equal is so everywhere.
        """
        return self.ranked - (-self.ranked.expm1()).log()

    @property
    def entropy(self) -> Float[Tensor, "R M"]:
        """Nats, of the distribution that ranks sites."""
        return -torch.special.xlogy(p := self.ranks.exp(), p).sum(-1)

    @property
    def margin(self) -> Float[Tensor, "R M"]:
        """Difference of the two largest probabilities, of the distribution that ranks sites."""
        first, second = self.ranks.topk(2, dim=-1).values.exp().unbind(-1)
        return first - second


@dataclass(frozen=True, eq=False)
class Restricted:
    """Tokens that satisfy a constraint together, and ln p of every token at every site given the constraint."""

    ids: Int[Tensor, "R M"]
    log_p: Float[Tensor, "R M V"]


def propose(
    prediction: Prediction,
    filters: Filters,
    draws: Draws,
    allowed: Bool[Tensor, "R M V"] | None = None,
    joint: Joint | None = None,
) -> Proposal:
    """Choose a token per site. `allowed` excludes tokens before normalization; `draws` has one key per site.

    A `joint` constraint chooses all tokens together: the most probable ones that satisfy it, or a draw from those.
    """
    log_p = prediction.posterior()
    if allowed is not None:
        log_p = log_p.masked_fill(~allowed, -torch.inf).log_softmax(-1)
    if filters.temperature == 0:
        ids = log_p.argmax(-1)
        chosen = log_p
    else:
        chosen = log_p if filters.neutral else filters.apply(log_p)
        ids = draw_categorical(chosen.exp(), draws.stream("token"))
    restricted = joint(chosen, None if filters.temperature == 0 else draws) if joint else None
    if restricted is not None:
        ids, chosen = restricted.ids, restricted.log_p
        untouched = filters.temperature == 0 or filters.neutral
        own = restricted if untouched or joint is None else joint(log_p, None)
        log_p = own.log_p if own is not None else log_p
    elif filters.temperature == 0 and filters.confidence == "filtered":
        chosen = filters.apply(log_p)
    logp = log_prob(log_p, ids)
    ranks = log_p if filters.confidence == "raw" else chosen
    return Proposal(ids, logp if ranks is log_p else log_prob(ranks, ids), logp, ranks)


def log_prob(log_p: Float[Tensor, "R M V"], ids: Int[Tensor, "R M"]) -> Float[Tensor, "R M"]:
    """ln p of the chosen tokens, float64; of nearly certain ones from the sum of what they leave to others.

    In float32 1 − 1.3e−7 and 1 − 1.6e−7 are one number, and the order of commits hangs on which is larger:
    guidance makes such tokens by the dozen.
    """
    logp = log_p.gather(-1, ids[..., None])[..., 0].double()
    certain = logp > -NEARLY
    others = log_p[certain].exp_().scatter_(-1, ids[certain][:, None], 0.0)
    return logp.masked_scatter(certain, (-others.sum(-1).double()).log1p())
