"""Positions in reading order."""

from dataclasses import dataclass, field

from jaxtyping import Bool
from torch import Tensor

from ..proposal import Filters, Proposal
from .strategy import Observation, Step, Unmasking, best, quota


@dataclass(frozen=True)
class LeftToRight(Unmasking):
    """Each step commits the leftmost pending positions, as many as the schedule asks.

    Heuristic: what is committed together is drawn as if independent. With one token per step it samples the model.
    """

    filters: Filters = field(default_factory=Filters)

    left_to_right = True

    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        return best(-seen.sites.index.double(), seen.open, quota(seen.canvas, step))
