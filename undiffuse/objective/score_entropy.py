"""Score entropy: the bound for networks that give free ratios of probabilities instead of a prediction (SEDD)."""

from dataclasses import dataclass, field

from ..predictor import Predictor
from ..process.needs import Need, has_ratios, never_pure_uniform
from ..randomness import Draws
from ..types import Batch
from .bound import Bound
from .objective import Loss, Objective, summed
from .times.estimator import Estimator
from .times.shared_offset import SharedOffset

SCORED = (
    Need(
        has_ratios,
        "a network that gives scores needs noise of one kind: process 'interpolating' with destination 'mask' or "
        "'uniform'",
    ),
    Need(
        never_pure_uniform,
        "ratios of pure uniform noise are 1 and say nothing of the text, so that no step can begin from them: use "
        "schedule 'geometric', which ends above α = 0",
    ),
)
"""What a free score asks of noise to have a meaning."""


@dataclass(frozen=True)
class ScoreEntropy(Objective):
    """Σ_v ω (s − r ln s + r ln r − r) of free ratios s against the true r (SEDD). Trains a score head; a bound."""

    times: Estimator = field(default_factory=SharedOffset)

    head = "score"
    is_bound = True
    needs = SCORED

    def __post_init__(self) -> None:
        refuse_counts(self.times)

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        self.times.check(predictor)

    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        drawn = Bound(self.times).integrand(predictor, batch, draws, rows)
        return summed(drawn.nats, drawn.sites, drawn.noised, batch.editable, batch)


def refuse_counts(times: Estimator) -> None:
    if not times.draws_times:
        raise ValueError("times 'equal-count' need a prediction at the mask, and a score is more; use 'shared-offset'")
