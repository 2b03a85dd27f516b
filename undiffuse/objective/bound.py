"""The continuous-time bound on −ln p(x) as a training loss."""

from dataclasses import dataclass, field

from jaxtyping import Bool, Float
from torch import Tensor

from ..predictor import Predictor
from ..randomness import Draws
from ..types import Batch, Noised
from .objective import Loss, Objective, summed
from .times.estimator import WHOLE, Estimator
from .times.shared_offset import SharedOffset


@dataclass(frozen=True, eq=False)
class Integrand:
    """Nats at the M scored sites of a batch: their mask (B, L), the noised batch, and the value of each."""

    noised: Noised
    sites: Bool[Tensor, "B L"]
    nats: Float[Tensor, " M"]


@dataclass(frozen=True)
class Bound(Objective):
    """The diffusion bound of the process (masked: MDLM; uniform: UDLM; mixtures: GIDD). Trains a leave-one-out head."""

    times: Estimator = field(default_factory=SharedOffset)

    head = "leave_one_out"
    is_bound = True

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        self.times.check(predictor)

    def integrand(
        self, predictor: Predictor, batch: Batch, draws: Draws, rows: int, clip: tuple[float, float] = WHOLE
    ) -> Integrand:
        """One draw of the integrand, at times within `clip`; only informative positions reach the head."""
        process = predictor.process
        noised = self.times.noise(process, batch, draws, rows, predictor.traits.block_length, clip)
        sites = process.informative(noised)
        prediction = predictor.predict(noised, batch, sites)
        return Integrand(noised, sites, self.times.integrand(process, prediction, noised[sites]))

    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        drawn = self.integrand(predictor, batch, draws, rows)
        return summed(drawn.nats, drawn.sites, drawn.noised, batch.editable, batch)
