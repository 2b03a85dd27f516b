"""The reverse chain of Gaussian noise."""

from dataclasses import dataclass, field

from jaxtyping import Float
from torch import Tensor

from ...errors import UserError
from ...process.gaussian import Gaussian
from ..latent import Denoising
from ..proposal import Filters
from .strategy import Observation


@dataclass(frozen=True)
class GaussianAncestral(Denoising):
    """Draws latents from the exact reverse kernel between the times of an even grid, and the tokens in the last step.

    With temperature 1 and no filter the samples' law converges to the model's as steps grow. `score_temperature`
    divides the noise that the network sees in a latent: at 0.9 (PLAID) more of it is taken away, and texts vary less.
    """

    filters: Filters = field(default_factory=lambda: Filters(temperature=1.0))
    score_temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.score_temperature < float("inf"):
            raise UserError(f"score_temperature must be above 0, not {self.score_temperature}; 1 draws from the model")

    @property
    def exact(self) -> bool:
        return self.score_temperature == 1

    def moved(
        self,
        process: Gaussian,
        estimate: Float[Tensor, "R M d"],
        latent: Float[Tensor, "R M d"],
        times: tuple[Float[Tensor, "R M"], Float[Tensor, "R M"]],
        seen: Observation,
    ) -> Float[Tensor, "R M d"]:
        if self.score_temperature != 1:
            estimate = process.tempered(estimate, latent, times[0], self.score_temperature)
        mean, std = process.kernel(estimate, latent, *times)
        return mean + std[..., None] * process.noise(seen.draws)
