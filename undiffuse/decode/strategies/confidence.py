"""LLaDA's low-confidence selection."""

from dataclasses import dataclass, field

from jaxtyping import Bool
from torch import Tensor

from ..proposal import Filters, Proposal
from .strategy import Observation, Step, Unmasking, best, quota


@dataclass(frozen=True)
class Confidence(Unmasking):
    """Each step commits the most confident proposals, as many as the schedule asks (LLaDA "low_confidence").

    Heuristic: the order depends on the tokens drawn, which favors likely texts. Confidence is the raw probability of
    the proposed token unless another is asked for.
    """

    filters: Filters = field(default_factory=Filters)

    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        return best(proposal.odds, seen.open, quota(seen.canvas, step))
