"""Positions in reading order."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ...process.process import Process
from ..canvas import Canvas
from ..proposal import Filters, Proposal
from .strategy import Observation, Step, Unmasking, best, quota


@dataclass(frozen=True)
class LeftToRight(Unmasking):
    """Each step commits the leftmost pending positions, as many as the schedule asks.

    Heuristic: what is committed together is drawn as if independent. With one token per step it samples the model.
    Networks that see one side alone need no mask for it: nobody sees what is pending, and it holds any token.
    """

    filters: Filters = field(default_factory=Filters)

    left_to_right = True

    def noise(self, process: Process, canvas: Canvas) -> Int[Tensor, "R L"]:
        if process.mask is None:
            return torch.full_like(canvas.ids, process.vocabulary.eos or 0)
        return super().noise(process, canvas)

    def step(self, process: Process, canvas: Canvas) -> Step:
        at = super().step(process, canvas)
        # what stands at a pending position says nothing, also where noise would be tokens
        return at if process.mask is not None else replace(at, t=torch.ones_like(at.t))

    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        return best(-seen.sites.index.double(), seen.open, quota(seen.canvas, step))
