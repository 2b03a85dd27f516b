"""Fast-dLLM v2's rule: the first token of an attention block by itself, the rest by a threshold."""

from dataclasses import dataclass

from jaxtyping import Bool
from torch import Tensor

from ...process.process import Process
from ..canvas import Canvas
from .strategy import Step
from .threshold import Threshold


@dataclass(frozen=True)
class LedThreshold(Threshold):
    """As `threshold`, but for the first token of a block, which is decided alone, however uncertain (Fast-dLLM v2).

    Heuristic. A shifted network predicts it from the last row of the block before, which sees no noise: as a causal one
    would. Of the first block of a text, and where attention has no blocks, it is a token like the others.
    """

    def reads(self, process: Process, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        wanted = super().reads(process, canvas, step)
        span = canvas.span[:, None]
        first = wanted & (span > 0) & (canvas.positions > 0) & (canvas.positions % span.clamp(min=1) == 0)
        return first | wanted & ~first.any(-1, keepdim=True)
