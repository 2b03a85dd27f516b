"""The entropy-bounded sampler."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...errors import UserError, did_you_mean
from ...ranking import ordered
from ..proposal import Filters, Proposal
from .factor import prefix
from .strategy import Observation, Step, Unmasking, among, best

METRICS = ("entropy", "confidence", "margin")


@dataclass(frozen=True)
class EntropyBounded(Unmasking):
    """Each step commits the longest prefix U, best first, with Σ H − max H ≤ `gamma` nats (Ben-Hamu et al. 2025).

    Heuristic. The bound is one on the mutual information of the positions that are committed as if independent: their
    joint entropy is at least the largest single one. `metric` orders positions, by least entropy, by confidence or by
    margin. Everything is of the raw distribution unless another is asked for. 0 is one token per step, unless certain.
    """

    gamma: float = 0.1
    metric: str = "entropy"
    filters: Filters = field(default_factory=Filters)

    def __post_init__(self) -> None:
        if not self.gamma >= 0:
            raise UserError(f"gamma must be 0 or more, not {self.gamma}; 0.1 nats is usual")
        if self.metric not in METRICS:
            raise UserError(f"there is no metric {self.metric!r}{did_you_mean(self.metric, METRICS)}")

    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        entropy = proposal.entropy.double()
        score = {
            "entropy": lambda: -entropy,
            "margin": lambda: proposal.margin,
            "confidence": lambda: proposal.odds,
        }
        return bounded(score[self.metric](), entropy, seen.open, self.gamma)


def bounded(
    score: Float[Tensor, "R M"], entropy: Float[Tensor, "R M"], candidates: Bool[Tensor, "R M"], gamma: float
) -> Bool[Tensor, "R M"]:
    """The longest prefix by score within the bound. Σ H − max H never decreases along it, and is 0 for one position."""
    order = ordered(among(score, candidates))
    summed = entropy.masked_fill(~candidates, torch.inf).gather(1, order)
    excess = summed.cumsum(-1) - summed.cummax(-1).values
    return best(score, candidates, prefix(excess <= gamma))
