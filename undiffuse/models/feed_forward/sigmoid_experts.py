"""A mixture of experts whose router scores each by itself and remembers which to prefer (DeepSeek-V3, LLaDA2)."""

from dataclasses import dataclass

from ...errors import UserError
from ..routing import SigmoidRouter
from .experts import ExpertLayer, check
from .feed_forward import Activation, FeedForward, RowLayer


@dataclass(frozen=True)
class SigmoidExperts(FeedForward):
    """Every row runs the `chosen` of `experts` that score best, by sigmoids and preferences, in the best groups.

    Experts lie in `groups` of equal size, of which a row may use `open_groups`; `scale` multiplies what they add.
    `inner` is the inner width of one expert (0: that of the model); a layer of `shared` times that is run by every row
    beside them. Preferences are read from checkpoints; training leaves them as they are.
    """

    experts: int = 8
    chosen: int = 2
    inner: int = 0
    shared: int = 0
    groups: int = 1
    open_groups: int = 1
    scale: float = 1.0

    def __post_init__(self) -> None:
        check(self.experts, self.chosen, self.inner, self.shared)
        if not 1 <= self.open_groups <= self.groups or self.experts % self.groups:
            raise UserError(
                f"feed-forward layer 'sigmoid-experts': {self.experts} experts cannot lie in {self.groups} equal "
                f"groups of which a row uses {self.open_groups}: groups must divide experts, and open_groups be among "
                "them"
            )
        size = self.experts // self.groups
        if self.open_groups < self.groups and size < 2:
            raise UserError("feed-forward layer 'sigmoid-experts': a group scores by its two best, and has one expert")
        if self.chosen > self.open_groups * size:
            raise UserError(
                f"feed-forward layer 'sigmoid-experts': {self.open_groups} groups of {size} experts do not hold "
                f"{self.chosen}: open more groups, or set chosen to {self.open_groups * size}"
            )
        if not 0 < self.scale < float("inf"):
            raise UserError(f"feed-forward layer 'sigmoid-experts': scale must be positive, not {self.scale}")

    def build(self, width: int, hidden: int, activation: Activation) -> RowLayer:
        router = SigmoidRouter(width, self.experts, self.chosen, self.groups, self.open_groups, self.scale)
        return ExpertLayer(router, width, self.inner or hidden, activation, self.shared)
