"""Informed correction: look for the tokens that the rest does not support (Zhao et al. 2024)."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...errors import UserError
from ...process.jumps import Jumps
from ...process.prediction import Prediction
from ...randomness import draw_categorical
from ..strategies.strategy import best
from .corrector import Corrector, Place, hidden, hides, real


@dataclass(frozen=True)
class Informed(Corrector):
    """Redraws `count` tokens, chosen without replacement with weights exp(−ln p(token | rest)/`temperature`).

    Heuristic: the choice depends on the tokens, and those chosen are redrawn apart from each other. Under noise with
    uniform tokens p(token | rest) is read in the step itself. Under noise that is the mask alone networks do not give
    it for tokens they see (the published corrector has a network of its own for that): there it is the probability
    with which the token was drawn, when fewer tokens were known, and the chosen ones are masked and read in the
    step. The masks of the process stay masks.
    """

    count: int = 1
    temperature: float = 1.0

    exact = False

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UserError(f"count must be at least 1, not {self.count}: it is how many tokens a step redraws")
        if not self.temperature > 0:
            raise UserError(f"temperature of corrector 'informed' must be positive, not {self.temperature}")

    def before(self, process: Jumps, place: Place) -> tuple[Tensor, Tensor]:
        if not hides(process):
            return place.ids, torch.zeros_like(place.live)
        touched = self.choose(process, place, place.logp)
        return hidden(process, place.ids, touched), touched

    def after(self, process: Jumps, place: Place, prediction: Prediction, touched: Tensor) -> Tensor:
        log_x, clean = prediction.leave_one_out(), place.ids.clone()
        if not hides(process):
            spot = place.ids.where(real(process, place.ids), process.vocabulary.predictable[0])
            touched = self.choose(process, place, log_x.gather(-1, spot[..., None])[..., 0])
        clean[touched] = draw_categorical(log_x[touched].exp(), place.draws.stream("token")[touched])
        if hides(process):
            return clean
        return process.corrupt(clean, place.s, place.draws, touched).state.ids.where(touched, place.ids)

    def choose(self, process: Jumps, place: Place, logp: Float[Tensor, "R M"]) -> Bool[Tensor, "R M"]:
        """Gumbel top-k over the tokens that stand."""
        gumbel = -place.draws.stream("site").uniform().log().neg().log()
        score = gumbel - logp.double().clamp(min=-1e9) / self.temperature
        count = torch.full((len(score),), self.count, device=score.device)
        return best(score, place.live & real(process, place.ids), count, near=0.0)
