"""Plain cross-entropy on corrupted text: trains the posterior, bounds nothing."""

from dataclasses import dataclass, field

from ..predictor import Predictor
from ..randomness import Draws
from ..types import Batch
from .objective import Loss, Objective, summed
from .times.estimator import Estimator
from .times.shared_offset import SharedOffset


@dataclass(frozen=True)
class CrossEntropy(Objective):
    """Unweighted −ln p(x | z), averaged over the positions whose logits matter. Trains a posterior head; no bound."""

    times: Estimator = field(default_factory=SharedOffset)

    head = "posterior"
    is_bound = False

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        self.times.check(predictor)

    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        noised = self.times.noise(predictor.process, batch, draws, rows, predictor.traits.block_length)
        sites = predictor.process.informative(noised)
        logits = predictor.predict(noised, batch, sites).logits
        nats = -logits.log_softmax(-1).gather(-1, noised.x0[sites][:, None])[:, 0]
        return summed(nats, sites, noised, sites, batch)
