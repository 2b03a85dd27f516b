"""Parallel decoding by a confidence threshold."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool
from torch import Tensor

from ...errors import UserError
from ..proposal import Filters, Proposal
from .strategy import Observation, Step, Unmasking, best


@dataclass(frozen=True)
class Threshold(Unmasking):
    """Each step commits every proposal with confidence ≥ `threshold`, or the single best one (Fast-dLLM).

    Heuristic. Confidence is the raw probability of the proposed token unless another is asked for. The number of steps
    follows from the model; a planned number is not consulted. Above 1 it is one token per step.
    """

    threshold: float = 0.9
    filters: Filters = field(default_factory=Filters)

    def __post_init__(self) -> None:
        check_threshold(self.threshold)

    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        return above_or_best(seen, proposal, step, self.threshold)


def check_threshold(threshold: float) -> None:
    """UserError unless it is positive."""
    if not threshold > 0:
        raise UserError(f"threshold must be positive, not {threshold}; 0.9 is usual, above 1 is one token a step")


def above_or_best(seen: Observation, proposal: Proposal, step: Step, threshold: float) -> Bool[Tensor, "R M"]:
    """Open sites whose proposal reaches the threshold, and the single best one."""
    one = torch.ones_like(step.index)
    return (seen.open & (proposal.confidence >= threshold)) | best(proposal.odds, seen.open, one)
