"""Dream's selection by the probability of the proposed token."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ..proposal import Proposal
from ..ranked import Ranked


@dataclass(frozen=True)
class MaskGITPlus(Ranked):
    """Each step commits the most probable proposals (Dream "maskgit_plus").

    Heuristic. Confidence is the filtered probability of the proposed token, after temperature, top-k and top-p.
    """

    def score(self, proposal: Proposal) -> Float[Tensor, "R M"]:
        return proposal.confidence

    def order(self, proposal: Proposal) -> Float[Tensor, "R M"]:
        return proposal.odds
