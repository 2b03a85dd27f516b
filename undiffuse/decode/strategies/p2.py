"""Path planning with the model's own judgment (P2, Peng et al. 2025): what is worst now is masked, decided or not.

Step i of N proposes a token at every mask and scores each of the n positions of the window: a mask by the log-
probability of its proposal, a token that stands there by its own, as the network now predicts its place, times η. The
⌊n (1 − κ)⌋ of least score are masks after the step, κ = (i + 1)/N, and all others are tokens: those that were masks get
their proposals. The last step leaves no mask.

η scales a number that is not positive. At 0 no token is ever taken back, and masks are decided in the order of their
confidence; above 1 tokens are doubted more than proposals. More steps than tokens are steps that exchange some.

The authors' code scores a token that is drawn anew in the place of one that stands there; here it is the one that does,
since what is doubted is the text at hand.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...errors import UserError
from ...process.prediction import Prediction
from ...process.process import Process
from ..canvas import Canvas
from ..proposal import Filters, Proposal, log_prob, propose
from .strategy import FINITE, Decision, Memory, Observation, Step, Unmasking, best


@dataclass(frozen=True)
class P2(Unmasking):
    """Heuristic. Keeps the best positions, as many as planned; tokens that no longer convince are masked again.

    `eta` is how much tokens are doubted: 0 keeps all, 1 weighs them as proposals are.
    """

    eta: float = 1.0
    filters: Filters = field(default_factory=lambda: Filters(confidence="filtered"))

    progressive = False
    guidable = False

    def __post_init__(self) -> None:
        if not 0 <= self.eta < float("inf"):
            raise UserError(f"eta must be 0 or more, not {self.eta}; 1 is usual, 0 takes no token back")

    @property
    def revocable(self) -> bool:
        return self.eta > 0

    def reads(self, process: Process, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        return canvas.window if self.revocable else canvas.window & canvas.pending

    def propose(self, seen: Observation) -> Proposal:
        """From what the network says of a place, also where a token stands there."""
        said = Prediction(seen.prediction.leave_one_out(), "posterior", seen.prediction.evidence)
        return propose(said, self.filters, seen.draws, seen.allowed, seen.joint)

    def score(self, seen: Observation, proposal: Proposal, stands: Bool[Tensor, "R M"]) -> Float[Tensor, "R M"]:
        """The better, the higher; in log-odds, which orders as log-probabilities do and rounds alike everywhere."""
        own = log_prob(proposal.ranks, torch.where(stands, seen.ids, proposal.ids)).clamp(min=-FINITE)
        log_p = torch.where(stands, self.eta * own, own)
        return log_p - (-log_p.expm1()).log()

    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        """The sites that are masks after the step."""
        stands = seen.sites.live & ~seen.open
        candidates = seen.sites.live if self.revocable else seen.open
        return best(-self.score(seen, proposal, stands), candidates, masks_after(seen.canvas, step))

    def advance(self, process: Process, seen: Observation, step: Step, memory: Memory) -> Decision:
        proposal = self.propose(seen)
        masked = self.choose(seen, proposal, step)
        assert process.mask is not None
        ids = torch.where(masked, process.mask, proposal.ids)
        return Decision(seen.open | masked, ids, masked, proposal.logp)


def masks_after(canvas: Canvas, step: Step) -> Int[Tensor, " R"]:
    """⌊n (1 − κ)⌋ of the n positions of each window, 1 − κ from the time at which the text begins to 0."""
    left = canvas.window.sum(-1) * canvas.begins * (step.planned - step.index - 1)
    return (left / step.planned).floor().long()
