"""A step of the noise, and back."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...process.jumps import Jumps
from ...process.prediction import Prediction
from ...types import State
from .corrector import Corrector, Place


@dataclass(frozen=True)
class ForwardBackward(Corrector):
    """Noises the text from s back to t, and takes the reverse step once more (Campbell et al. 2022, section 4.4).

    Under masked noise every token is masked with probability 1 − α_t/α_s. Exact as `ancestral` is: one position alone
    keeps p_s; several are redrawn apart from each other, so the error falls with the step. It is blind to which tokens
    are wrong.
    """

    exact = True

    def asked(self, t: Float[Tensor, " R"], s: Float[Tensor, " R"]) -> Float[Tensor, " R"]:
        return t

    def before(self, process: Jumps, place: Place) -> tuple[Tensor, Tensor]:
        noisier = process.law.corrupt_further(State(place.ids), place.s, place.t, place.draws).ids
        return noisier.where(place.live, place.ids), torch.zeros_like(place.live)

    def after(self, process: Jumps, place: Place, prediction: Prediction, touched: Tensor) -> Tensor:
        return process.step(prediction, State(place.ids), place.t, place.s, place.draws).state.ids
