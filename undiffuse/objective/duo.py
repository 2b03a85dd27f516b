"""The bound of uniform noise, at first on soft tokens (Duo, Sahoo et al. 2025).

With w the Gaussian latent of `process.duo` and z = argmax(w), the noisy text z has uniform noise with α = T(γ), and the
integrand of the bound is as ever; but the network is shown softmax(w/τ), which says more than z: how near the others
came. That has less variance and is no bound, since the network sees what the reverse chain will not have. At τ → 0 it
is the bound over part of the noise levels. γ is drawn evenly where α goes from 0.95 to 0.05; with u ∈ (0, 1) the place
in that range, ∫ ℓ dt = ∫ ℓ (dt/du) du and dt/du = T'(γ) (γ_1 − γ_0)/α'(t).

After `curriculum` of the training, tokens are hard and the loss is the bound over all noise levels.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UserError
from ..predictor import Predictor
from ..process.duo import operator, soften
from ..process.jumps import Jumps
from ..process.needs import Need, jumping, jumps_to_tokens_alone
from ..randomness import Draws
from ..types import Batch, Noised, State
from .bound import Bound
from .objective import Loss, Objective, summed
from .times.estimator import Estimator, element_draws
from .times.shared_offset import SharedOffset


def soft_needs(name: str) -> tuple[Need, ...]:
    """Soft tokens are of uniform noise."""
    return (Need(jumps_to_tokens_alone, f"objective '{name}' is of uniform noise: set process.destination=uniform"),)


@dataclass(frozen=True)
class Duo(Objective):
    """The bound of uniform noise; during the first `curriculum` of training on soft tokens, which is no bound (Duo).

    `temperature` is τ. `top` is how many tokens besides the text's own a soft token has, with one more for the rest.
    """

    curriculum: float = 0.5
    temperature: float = 1e-3
    top: int = 2
    times: Estimator = field(default_factory=SharedOffset)

    head = "leave_one_out"
    is_bound = False
    needs = soft_needs("duo")

    def __post_init__(self) -> None:
        if not 0 <= self.curriculum <= 1:
            raise ValueError(f"curriculum is a share of the training in [0, 1], not {self.curriculum}")
        check_soft(self.temperature, self.top, self.times)

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        check_rows("duo", predictor)
        self.times.check(predictor)

    def at(self, progress: float) -> Objective:
        return self if progress < self.curriculum else Bound(self.times)

    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        process = jumping(predictor.process)
        shape = operator(process.vocabulary.size)
        first, last = shape.range
        cells = self.times.cells(batch, rows, None)
        gamma = cells.at(self.times.levels(cells, draws, shape.range))
        alpha, slope = shape.alpha(gamma), shape.derivative(gamma)
        noised = soft_noise(process, batch, draws, gamma, alpha, self.top, self.temperature)
        sites = process.informative(noised)
        prediction = predictor.predict(noised, batch, sites)
        stretch = (slope * (last - first) / process.law.schedule.derivative(noised.t.where(batch.editable, 0.5)))[sites]
        nats = process.bound(prediction, noised[sites]) * stretch
        return summed(nats, sites, noised, batch.editable, batch)


def soft_noise(
    process: Jumps,
    batch: Batch,
    draws: Draws,
    gamma: Float[Tensor, "B L"],
    alpha: Float[Tensor, "B L"],
    top: int,
    temperature: float,
) -> Noised:
    """A batch whose tokens are argmax(w), at the times at which uniform noise is as strong, seen as softmax(w/τ)."""
    view = soften(
        process.vocabulary,
        batch.ids,
        gamma,
        batch.editable,
        element_draws(batch, draws),
        top=top,
        temperature=temperature,
    )
    t = process.time_at(alpha).where(batch.editable, 0.0)
    return Noised(batch.ids, State(view.ids), t, batch.editable, view)


def check_soft(temperature: float, top: int, times: Estimator) -> None:
    """ValueError for options that no soft token can have."""
    if not 0 < temperature < torch.inf:
        raise ValueError(f"temperature must be positive, not {temperature}; 0.001 is published")
    if top < 1:
        raise ValueError(f"top counts the tokens besides the text's own: at least 1, not {top}")
    if not times.draws_times:
        raise ValueError("times 'equal-count' count masks, and soft tokens have none; use 'shared-offset'")


def check_rows(name: str, predictor: Predictor) -> None:
    """UserError unless every position of a row may see every other."""
    if not predictor.traits.both_sides:
        raise UserError(f"objective '{name}' shows soft tokens, which networks with blocks or causal ones do not take")
