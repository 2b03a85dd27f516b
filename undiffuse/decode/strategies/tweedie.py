"""The analytic reverse step from ratios of probabilities (SEDD)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from ...errors import UserError
from ...kinds import kind_of
from ...process.interpolating import Interpolating
from ...process.process import Process
from ...process.scores import Move, analytic
from ...types import State
from ..canvas import Canvas
from ..guidance.guidance import Guided
from .ancestral import Ancestral, logp_where
from .strategy import Decision, Look, Memory, Step

LEAST = -80.0  # nats


@dataclass(frozen=True)
class Tweedie(Ancestral):
    """Carries the ratios p(v)/p(z) back through the noise between the times of an even grid (SEDD).

    With the ratios of a prediction this is the exact reverse kernel, so that there it draws what `ancestral` draws.
    Free ratios also say how much is revealed, not just as what; what they make negative counts as zero. With guidance
    they are the predictions that they amount to at the mask.
    """

    scored = True

    def check(self, process: Process) -> None:
        if not isinstance(process, Interpolating):
            raise UserError(
                f"this strategy moves from token to token, and the noise of this model is {kind_of(process)}; use "
                "strategy 'ancestral'"
            )

    def reads(self, process: Process, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        # with free ratios it hangs on the network whether a token moves
        return canvas.window & canvas.pending

    def advance(self, process: Process, look: Look, step: Step, memory: Memory) -> Decision:
        if look.prediction.kind != "score" or isinstance(look.prediction, Guided):
            return super().advance(process, look, step, memory)
        assert isinstance(process, Interpolating)
        t, s = step.t[:, None], step.s[:, None]
        return self.moved(process, look, analytic(process, look.prediction, State(look.ids), t, s), step)

    def moved(self, process: Interpolating, look: Look, move: Move, step: Step) -> Decision:
        """A drawn move, to a token that filters and constraints allow."""
        stay, target, s = move.stay, move.target, step.s[:, None]
        if look.allowed is not None:
            # ratios may leave nothing to what is allowed; something must remain
            target = target.log_softmax(-1).clamp(min=LEAST).masked_fill(~look.allowed, -torch.inf)
            kept = look.allowed.gather(-1, look.ids[..., None])[..., 0]
            stay = torch.where(kept | (s > 0), stay, 0.0)
        if not self.filters.neutral:
            target = self.filters.apply(target.log_softmax(-1))
        drawn = Move(stay, move.leave, target).draw(look.ids, look.draws)
        ids = torch.where(look.open, drawn, look.ids)
        final = process.settled(ids, s) & look.open
        return Decision(look.open, ids, look.open & ~final, logp_where(final, look.prediction, ids))
