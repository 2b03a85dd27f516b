"""Parallel decoding by a factor of joint certainty."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...errors import UserError
from ..proposal import Filters, Proposal
from .strategy import Observation, Step, Unmasking, best


@dataclass(frozen=True)
class Factor(Unmasking):
    """Each step commits the longest confident prefix with (n + 1)(1 − c_n) ≤ `factor` throughout (Fast-dLLM).

    Heuristic. Confidences are sorted, c_1 ≥ c_2 ≥ …, and the best one is always committed; a candidate that fails the
    rule never is. Confidence is the raw probability unless another is asked for. Factor 1 is close to `certified`.
    """

    factor: float = 1.0
    filters: Filters = field(default_factory=Filters)

    def __post_init__(self) -> None:
        if not self.factor > 0:
            raise UserError(f"factor must be positive, not {self.factor}; 1 is usual, more commits more at once")

    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        passed = slack(proposal.confidence, seen.open) <= self.factor
        return best(proposal.odds, seen.open, prefix(passed))


def slack(confidence: Float[Tensor, "R M"], candidates: Bool[Tensor, "R M"]) -> Float[Tensor, "R M"]:
    """(n + 1)(1 − c_n) of the n-th most confident candidate, in order; infinite beyond the last. Never decreases."""
    ordered = confidence.double().masked_fill(~candidates, -torch.inf).sort(dim=-1, descending=True).values
    count = torch.arange(2, ordered.shape[1] + 2, device=ordered.device)
    return count * (1 - ordered)


def prefix(passed: Bool[Tensor, "R M"]) -> Int[Tensor, " R"]:
    """How many pass before the first that does not; at least one."""
    return passed.cumprod(-1).sum(-1).clamp(min=1)
