"""Positions in random order."""

from dataclasses import dataclass, field

from jaxtyping import Bool
from torch import Tensor

from ..proposal import Filters, Proposal
from .strategy import Observation, Step, Unmasking, best, quota


@dataclass(frozen=True)
class Random(Unmasking):
    """Each step commits positions drawn at random, as many as the schedule asks (LLaDA "random").

    Heuristic: what is committed together is drawn as if independent. With one token per step it samples the model.
    """

    filters: Filters = field(default_factory=Filters)

    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        return best(seen.draws.stream("order").uniform(), seen.open, quota(seen.canvas, step), near=0.0)
