"""The deterministic way from noise to text."""

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from ...process.gaussian import Gaussian
from ..latent import Denoising
from ..proposal import Filters
from .strategy import Observation


@dataclass(frozen=True)
class ProbabilityFlow(Denoising):
    """Euler's steps along the probability flow of Gaussian noise, and the tokens in the last step (CDCD).

    Chance enters in the noise at the start and in the last draw alone. The samples' law converges to the model's as
    steps grow.
    """

    filters: Filters = field(default_factory=lambda: Filters(temperature=1.0))

    exact = True

    def moved(
        self,
        process: Gaussian,
        estimate: Float[Tensor, "R M d"],
        latent: Float[Tensor, "R M d"],
        times: tuple[Float[Tensor, "R M"], Float[Tensor, "R M"]],
        seen: Observation,
    ) -> Float[Tensor, "R M d"]:
        return process.flow(estimate, latent, *times)
