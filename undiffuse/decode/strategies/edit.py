"""LLaDA2.1's rule (Bie et al. 2026): masks become tokens above one threshold, and decided tokens others above another.

A step decides every mask of the window whose proposal is more probable than `threshold`, or the best one, and exchanges
every decided token whose place has another most probable token, more probable than `edit_threshold` (both from what the
network says where a token stands: it is trained on texts with wrong tokens). When no mask is left, passes go on until
one exchanges nothing, at most `most_edits` of them; then the window is finished.

It ends: a step decides a mask at least, and of steps without one there are `most_edits` at most in a window.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ...errors import UserError
from ...process.prediction import Prediction
from ...process.process import Process
from ..canvas import Canvas
from ..proposal import Filters, Proposal, propose
from .strategy import Decision, Memory, Observation, Step, Unmasking, best


@dataclass(frozen=True)
class Edit(Unmasking):
    """Heuristic. Decides masks above `threshold`, the best one at least, and exchanges tokens above `edit_threshold`.

    The number of steps follows from the model; a planned number is not consulted. With `most_edits` 0 a window ends
    with its last mask.
    """

    threshold: float = 0.7
    edit_threshold: float = 0.5
    most_edits: int = 16
    filters: Filters = field(default_factory=Filters)

    revocable = True
    progressive = False
    guidable = False

    def __post_init__(self) -> None:
        if not self.threshold > 0:
            raise UserError(f"threshold must be positive, not {self.threshold}; 0.7 is usual, 1 is one token a step")
        if not self.edit_threshold >= 0:
            raise UserError(
                f"edit_threshold must not be negative, not {self.edit_threshold}; 0.5 is usual, 1 keeps every token"
            )
        if self.most_edits < 0:
            raise UserError(f"most_edits must not be negative, not {self.most_edits}; 16 is usual")

    def begin(self, process: Process, canvas: Canvas) -> Memory:
        """How many passes began without a mask in the present window."""
        return {"passes": torch.zeros_like(canvas.clock)}

    def most_steps(self, canvas: Canvas) -> Int[Tensor, " R"]:
        return canvas.pending.sum(-1) + (canvas.steps > 0).sum(-1) * (self.most_edits + 1)

    def reads(self, process: Process, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        return canvas.window

    def propose(self, seen: Observation) -> Proposal:
        """From what the network says of a place, also where a token stands there."""
        said = Prediction(seen.prediction.leave_one_out(), "posterior", seen.prediction.evidence)
        return propose(said, self.filters, seen.draws, seen.allowed, seen.joint)

    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        one = torch.ones_like(step.index)
        return seen.open & (proposal.confidence > self.threshold) | best(proposal.odds, seen.open, one)

    def advance(self, process: Process, seen: Observation, step: Step, memory: Memory) -> Decision:
        proposal = self.propose(seen)
        chosen = self.choose(seen, proposal, step)
        standing = seen.sites.live & ~seen.open
        edited = standing & (proposal.ids != seen.ids) & (proposal.confidence > self.edit_threshold)
        full = ~seen.open.any(-1)  # before this step
        passes = torch.where(full, memory["passes"] + 1, 0)
        complete = ~(seen.open & ~chosen).any(-1)
        hold = complete & (passes < self.most_edits) & (~full | edited.any(-1))
        return Decision(
            chosen | edited,
            proposal.ids,
            seen.open & ~chosen,
            proposal.logp,
            memory={"passes": torch.where(hold, passes, 0)},
            hold=hold,
        )
