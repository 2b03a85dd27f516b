"""SDAR's rule between a threshold and a quota."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ...errors import UserError
from ..canvas import Canvas
from ..proposal import Filters, Proposal
from .strategy import Observation, Step, Unmasking, best


@dataclass(frozen=True)
class Dynamic(Unmasking):
    """Each step commits all above a confidence if they reach the step's quota, else the quota (SDAR).

    Heuristic. The quota is static: the tokens of the window (of the whole block, where a prompt has begun it) over its
    planned steps, the remainder to the earliest, however many were committed before. Confidence is the filtered
    probability, and must exceed `threshold`.
    """

    threshold: float = 0.85
    filters: Filters = field(default_factory=lambda: Filters(confidence="filtered"))

    def __post_init__(self) -> None:
        if not self.threshold > 0:
            raise UserError(f"threshold must be positive, not {self.threshold}; 0.85 is usual, 1 is the quota alone")

    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        above = seen.open & (proposal.confidence > self.threshold)
        return best(proposal.odds, seen.open, torch.maximum(above.sum(-1), static_quota(seen.canvas, step)))


def static_quota(canvas: Canvas, step: Step) -> Int[Tensor, " R"]:
    """n tokens over k steps as n div k each, the remainder one each to the earliest steps; at least one."""
    total = canvas.shared
    return (total // step.planned + (step.index < total % step.planned)).clamp(min=1)
