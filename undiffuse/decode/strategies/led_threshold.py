"""Fast-dLLM v2's rule: the first token of an attention block by itself, the rest by a threshold."""

from dataclasses import dataclass, field

from jaxtyping import Bool
from torch import Tensor

from ...process.process import Process
from ..canvas import Canvas
from ..proposal import Filters, Proposal
from .strategy import Observation, Step, Unmasking
from .threshold import above_or_best, check_threshold


@dataclass(frozen=True)
class LedThreshold(Unmasking):
    """As `threshold`, but for the first token of a block, which is decided alone, however uncertain (Fast-dLLM v2).

    Heuristic. A shifted network predicts it from the last row of the block before, which sees no noise: as a causal one
    would. Of the first block of a text, and where attention has no blocks, it is a token like the others.
    """

    threshold: float = 0.9
    filters: Filters = field(default_factory=Filters)

    def __post_init__(self) -> None:
        check_threshold(self.threshold)

    def reads(self, process: Process, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        wanted = super().reads(process, canvas, step)
        span = canvas.span[:, None]
        first = wanted & (span > 0) & (canvas.positions > 0) & (canvas.positions % span.clamp(min=1) == 0)
        return first | wanted & ~first.any(-1, keepdim=True)

    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        return above_or_best(seen, proposal, step, self.threshold)
