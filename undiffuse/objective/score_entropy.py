"""Score entropy: the bound for networks that give free ratios of probabilities instead of a prediction (SEDD)."""

from dataclasses import dataclass, field

from ..errors import UserError
from ..predictor import Predictor
from ..process.interpolating import Interpolating
from ..process.process import Process
from ..randomness import Draws
from ..types import Batch
from .bound import Bound
from .objective import Loss, Objective, summed
from .times.equal_count import EqualCount
from .times.shared_offset import SharedOffset
from .times.time_draw import TimeDraw


@dataclass(frozen=True)
class ScoreEntropy(Objective):
    """Σ_v ω (s − r ln s + r ln r − r) of free ratios s against the true r (SEDD). Trains a score head; a bound."""

    times: TimeDraw = field(default_factory=SharedOffset)

    head = "score"
    is_bound = True

    def __post_init__(self) -> None:
        refuse_counts(self.times)

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        check_noise(predictor.process)
        self.times.check(predictor)

    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        drawn = Bound(self.times).integrand(predictor, batch, draws, rows)
        return summed(drawn.nats, drawn.sites, drawn.noised, batch.editable)


def refuse_counts(times: TimeDraw) -> None:
    if isinstance(times, EqualCount):
        raise ValueError("times 'equal-count' need a prediction at the mask, and a score is more; use 'shared-offset'")


def check_noise(process: Process) -> None:
    """UserError unless a free score has a meaning under this noise."""
    if (
        not isinstance(process, Interpolating)
        or process.steps is not None
        or (process.destination.uniform and process.destination.mask)
    ):
        raise UserError(
            "a network that gives scores needs noise of one kind: process 'interpolating' with destination 'mask' or "
            "'uniform'"
        )
    if process.destination.uniform and not process.schedule.ends[1] > 0:
        raise UserError(
            "ratios of pure uniform noise are 1 and say nothing of the text, so that no step can begin from them: use "
            "schedule 'geometric', which ends above α = 0"
        )
