"""The analytic reverse step from ratios of probabilities (SEDD)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from ...process.jumps import Jumps
from ...process.needs import Need, jumps
from ...process.scores import Move, analytic
from ...types import State
from ..canvas import Canvas
from ..reverse import Reverse, logp_where
from .strategy import Decision, Look, Memory, Step

LEAST = -80.0  # nats
JUMPING = (
    Need(
        jumps,
        "this strategy moves from token to token by one law, and the noise of this model is {noise}; use strategy "
        "'ancestral'",
    ),
)


@dataclass(frozen=True)
class Tweedie(Reverse[Jumps]):
    """Carries the ratios p(v)/p(z) back through the noise between the times of an even grid (SEDD).

    With the ratios of a prediction this is the exact reverse kernel, so that there it draws what `ancestral` draws.
    Free ratios also say how much is revealed, not just as what; what they make negative counts as zero. With guidance
    they are the predictions that they amount to at the mask.
    """

    exact = True
    scored = True
    needs = JUMPING

    def reads(self, process: Jumps, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        # with free ratios it hangs on the network whether a token moves
        return canvas.window & canvas.pending

    def advance(self, process: Jumps, look: Look, step: Step, memory: Memory) -> Decision:
        if look.prediction.kind != "score" or look.prediction.mixture is not None:
            return self.drawn(process, look, step)
        t, s = step.t[:, None], step.s[:, None]
        return carried_out(self, process, look, analytic(process.law, look.prediction, State(look.ids), t, s), step)


def carried_out(strategy: Reverse[Jumps], process: Jumps, look: Look, move: Move, step: Step) -> Decision:
    """A drawn move, to a token that filters and constraints allow."""
    stay, target, s = move.stay, move.target, step.s[:, None]
    if look.allowed is not None:
        # ratios may leave nothing to what is allowed; something must remain
        target = target.log_softmax(-1).clamp(min=LEAST).masked_fill(~look.allowed, -torch.inf)
        kept = look.allowed.gather(-1, look.ids[..., None])[..., 0]
        stay = torch.where(kept | (s > 0), stay, 0.0)
    if not strategy.filters.neutral:
        target = strategy.filters.apply(target.log_softmax(-1))
    drawn = Move(stay, move.leave, target).draw(look.ids, look.draws)
    ids = torch.where(look.open, drawn, look.ids)
    final = process.law.settled(ids, s) & look.open
    return Decision(look.open, ids, look.open & ~final, logp_where(final, look.prediction, ids))
