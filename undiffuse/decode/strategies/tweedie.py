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
from .strategy import Decision, Memory, Observation, Step

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

    def advance(self, process: Jumps, seen: Observation, step: Step, memory: Memory) -> Decision:
        if seen.prediction.kind != "score" or seen.prediction.mixture is not None:
            return self.drawn(process, seen, step)
        t, s = step.t[:, None], step.s[:, None]
        return carried_out(self, process, seen, analytic(process.law, seen.prediction, State(seen.ids), t, s), step)


def carried_out(strategy: Reverse[Jumps], process: Jumps, seen: Observation, move: Move, step: Step) -> Decision:
    """A drawn move, to a token that filters and constraints allow."""
    stay, target, s = move.stay, move.target, step.s[:, None]
    if seen.allowed is not None:
        # ratios may leave nothing to what is allowed; something must remain
        target = target.log_softmax(-1).clamp(min=LEAST).masked_fill(~seen.allowed, -torch.inf)
        kept = seen.allowed.gather(-1, seen.ids[..., None])[..., 0]
        stay = torch.where(kept | (s > 0), stay, 0.0)
    if not strategy.filters.neutral:
        target = strategy.filters.apply(target.log_softmax(-1))
    drawn = Move(stay, move.leave, target).draw(seen.ids, seen.draws)
    ids = torch.where(seen.open, drawn, seen.ids)
    final = process.law.settled(ids, s) & seen.open
    return Decision(seen.open, ids, seen.open & ~final, logp_where(final, seen.prediction, ids))
