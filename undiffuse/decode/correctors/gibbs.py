"""Gibbs sampling of the noisy text."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...process.jumps import Jumps
from ...process.prediction import Prediction
from ...randomness import draw_categorical
from ..strategies.strategy import best
from .corrector import Corrector, Place, hidden


@dataclass(frozen=True)
class Gibbs(Corrector):
    """Redraws one position, chosen at random, from p(z_i | z without z_i) = α_s x_θ(z_i) + b_s(z_i).

    Exact at every time, however coarse the grid: p_s is invariant. Only one position at a time: all at once (Hogwild)
    is not, since every one would be drawn given the old tokens of the others.
    """

    exact = True

    def before(self, process: Jumps, place: Place) -> tuple[Tensor, Tensor]:
        one = torch.ones(len(place.ids), dtype=torch.long, device=place.ids.device)
        touched = best(place.draws.stream("site").uniform(), place.live, one, near=0.0)
        return hidden(process, place.ids, touched), touched

    def after(self, process: Jumps, place: Place, prediction: Prediction, touched: Tensor) -> Tensor:
        clean = place.ids.clone()
        clean[touched] = draw_categorical(
            prediction.leave_one_out()[touched].exp(), place.draws.stream("token")[touched]
        )
        return process.corrupt(clean, place.s, place.draws, touched).state.ids.where(touched, place.ids)
