"""Dream's family: sites in the order of a score, as many per step as a grid of times asks.

Times of a window of n tokens over N steps: t_i = 1 − (1 − ε) i/N with ε = 10⁻³. Two schedules of counts:

    dream-exact   step i commits ⌊n_i (1 − t_{i+1}/t_i)⌋ of the n_i that are pending, the last step all. Published, and
                  kept for parity: with N = n the first step commits nothing and the last one two; with N = 2n about
                  half of the evaluations decide nothing.
    balanced      after step i, round(n (i + 1)/N) are committed (halves up), and at least one more than before.

Counts are those of one request and its window (in older code of Dream the whole batch competed for them).
"""

from abc import abstractmethod
from dataclasses import dataclass, field

from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import UserError, did_you_mean
from .canvas import Canvas
from .proposal import Filters, Proposal
from .strategies.strategy import Observation, Step, Unmasking, best

SCHEDULES = ("balanced", "dream-exact")
EPS = 1e-3


@dataclass(frozen=True)
class Ranked(Unmasking):
    """Heuristic. Each step commits the sites of highest score.

    With `alg_temp` it draws them without replacement from softmax(score / alg_temp), by keyed Gumbel top-k. The
    confidence is `filtered` unless another is asked for.
    """

    alg_temp: float | None = None
    schedule: str = "balanced"
    filters: Filters = field(default_factory=lambda: Filters(confidence="filtered"))

    def __post_init__(self) -> None:
        if self.alg_temp is not None and not 0 <= self.alg_temp < float("inf"):
            raise UserError(f"alg_temp must be 0 or more, not {self.alg_temp}; 0 takes the best positions")
        if self.schedule not in SCHEDULES:
            raise UserError(f"there is no schedule {self.schedule!r}{did_you_mean(self.schedule, SCHEDULES)}")

    @property
    def progressive(self) -> bool:  # type: ignore[override]
        return self.schedule == "balanced"

    @abstractmethod
    def score(self, proposal: Proposal) -> Float[Tensor, "R M"]:
        """What ranks the sites, best first."""

    def order(self, proposal: Proposal) -> Float[Tensor, "R M"]:
        """The same order in a unit in which rounding is alike everywhere."""
        return self.score(proposal)

    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        counts = balanced if self.schedule == "balanced" else published
        count = counts(seen.canvas, step)
        if not self.alg_temp:
            return best(self.order(proposal), seen.open, count)
        gumbel = -seen.draws.stream("order").uniform().log().neg().log()
        return best(self.score(proposal) / self.alg_temp + gumbel, seen.open, count, near=0.0)


def balanced(canvas: Canvas, step: Step) -> Int[Tensor, " R"]:
    """round(n (i + 1)/N) committed after step i, at least one more than before."""
    total = canvas.shared
    target = (2 * total * (step.index + 1) + step.planned) // (2 * step.planned)
    return (target - (canvas.window & ~canvas.pending).sum(-1)).clamp(min=1)


def published(canvas: Canvas, step: Step) -> Int[Tensor, " R"]:
    """Dream's floor of the pending times 1 − s/t on the grid that ends at ε; the last step takes all."""
    pending = (canvas.window & canvas.pending).sum(-1)
    share = jump(step, canvas.begins)
    return (pending * share).floor().long()


def jump(step: Step, begins: Float[Tensor, " R"]) -> Float[Tensor, " R"]:
    """1 − s/t of the step from t to s on Dream's grid, which begins at a time; 1 for the last step."""
    width = (begins - EPS) / step.planned
    share = width / (begins - width * step.index.double())
    return share.where(step.index + 1 < step.planned, 1.0)
