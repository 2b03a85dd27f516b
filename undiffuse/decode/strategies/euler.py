"""Jumps by the rates of the reverse process (SEDD's τ-leaping)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from ...process.jumps import Jumps
from ...process.scores import Move, leap
from ...types import State
from ..canvas import Canvas
from ..reverse import Reverse
from .strategy import Decision, Memory, Observation, Step
from .tweedie import JUMPING, carried_out


@dataclass(frozen=True)
class Euler(Reverse[Jumps]):
    """Holds the reverse rates of each step's beginning over the step; the last step draws the clean text.

    A token jumps with at most its whole probability, which cuts the first steps, where rates are without limit. Of the
    same order as `tweedie`, and further off when steps are few; kept for comparison.
    """

    exact = True
    scored = True
    guidable = False
    needs = JUMPING

    def reads(self, process: Jumps, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        return canvas.window & canvas.pending

    def advance(self, process: Jumps, seen: Observation, step: Step, memory: Memory) -> Decision:
        if seen.prediction.kind == "score" and seen.prediction.mixture is not None:
            return self.drawn(process, seen, step)
        t, s = step.t[:, None], step.s[:, None]
        jump = leap(process.law, seen.prediction, State(seen.ids), t, s)
        last = (s <= 0).expand(seen.ids.shape)
        posterior = seen.prediction.posterior()
        target = torch.where(last[..., None], posterior, jump.target)
        move = Move(jump.stay.masked_fill(last, 0.0), jump.leave.masked_fill(last, 1.0), target)
        return carried_out(self, process, seen, move, step)
