"""Wide in, narrow out (Hong et al. 2025): draft many tokens, then take back those that the rest does not support.

Each step drafts every proposal with confidence above `draft`, the best `min(max(⌊0.7 n⌋, 5), 20)` of n pending ones at
most and one at least. In the same evaluation a shadow row beside every decided token of the window, a mask at its
position that sees all but that token, says how probable the token is given the others; below `verify` it is pending
again. Later layers of the other rows know the token, so this is leave-one-out in one layer and close to it in many.

It ends: a step that drafts one token takes none back, and any step takes back at most one fewer than the step before
drafted. With d_r drafted and m_r taken back in step r of a window, m_r ≤ d_{r−1} − 1, so after n steps
Σ d_r − Σ m_r ≥ d_n + n − 1 ≥ n tokens are decided: never more steps than tokens.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ...errors import UserError
from ...process.process import Process
from ..canvas import Canvas
from ..proposal import Filters, Proposal
from .strategy import Decision, Memory, Observation, Step, Unmasking, best

SHARE, FEWEST, MOST = 0.7, 5, 20  # how much of what is pending may be drafted at once, and its bounds


@dataclass(frozen=True)
class Wino(Unmasking):
    """Heuristic. Commits what is above `draft` and reconsiders what falls below `verify`, both raw probabilities.

    The number of steps follows from the model; a planned number is not consulted. Verification costs a row per site
    of the window, in steps that follow a draft of two or more.
    """

    draft: float = 0.6
    verify: float = 0.9
    filters: Filters = field(default_factory=Filters)

    revocable = True
    shadows = True

    def __post_init__(self) -> None:
        if not self.draft > 0:
            raise UserError(f"draft must be positive, not {self.draft}; 0.6 is usual, above 1 is one token a step")
        if not 0 < self.verify <= 1:
            raise UserError(f"verify must lie in (0, 1], not {self.verify}; 0.9 is usual, near 0 keeps every token")

    def reads(self, process: Process, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        return canvas.window & (canvas.pending | (_drafted(canvas) > 1)[:, None])

    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        pending = seen.open.sum(-1)
        above = seen.open & (proposal.confidence > self.draft)
        most = (SHARE * pending).long().clamp(FEWEST, MOST)
        return best(proposal.odds, seen.open, torch.minimum(above.sum(-1), most).clamp(min=1))

    def doubted(self, seen: Observation, chosen: Bool[Tensor, "R M"]) -> Bool[Tensor, "R M"]:
        """Decided sites that the shadow rows do not support, the least probable ones within the bound."""
        log_p = seen.prediction.leave_one_out()
        if seen.allowed is not None:
            log_p = log_p.masked_fill(~seen.allowed, -torch.inf).log_softmax(-1)
        p = log_p.gather(-1, seen.ids[..., None])[..., 0].exp()
        decided = seen.sites.live & ~seen.open
        most = (_drafted(seen.canvas) - 1).where(chosen.sum(-1) > 1, 0)
        return best(-p.double().logit(), decided & (p < self.verify), most)

    def advance(self, process: Process, seen: Observation, step: Step, memory: Memory) -> Decision:
        proposal = self.propose(seen)
        chosen = self.choose(seen, proposal, step)
        doubted = self.doubted(seen, chosen)
        assert process.mask is not None
        ids = torch.where(doubted, process.mask, proposal.ids)
        return Decision(chosen | doubted, ids, (seen.open & ~chosen) | doubted, proposal.logp)


def _drafted(canvas: Canvas) -> Int[Tensor, " R"]:
    """How many tokens the step before decided: none of those was taken back in it."""
    last = canvas.window & ~canvas.pending & (canvas.commit_step == canvas.step[:, None] - 1)
    return last.sum(-1)
