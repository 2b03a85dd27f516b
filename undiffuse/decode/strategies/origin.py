"""Dream's reverse process."""

from dataclasses import dataclass, field

from jaxtyping import Bool
from torch import Tensor

from ..proposal import Filters, Proposal
from ..ranked import jump
from .strategy import Observation, Step, Unmasking


@dataclass(frozen=True)
class Origin(Unmasking):
    """Each step commits every position with probability 1 − s/t, on Dream's grid of times (Dream "origin").

    Heuristic: positions and their number are random whatever the model says. Under masked noise with α = 1 − t this is
    `ancestral` up to the end of the grid, 0.001 in place of 0; it also takes temperature 0. A step may commit nothing.
    """

    filters: Filters = field(default_factory=lambda: Filters(temperature=1.0, confidence="filtered"))

    progressive = False

    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        return seen.draws.stream("order").uniform() < jump(step, seen.canvas.begins)[:, None]
