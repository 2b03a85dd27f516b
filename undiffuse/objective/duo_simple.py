"""Noisy one-hot vectors, their argmax and soft tokens, and a symmetric divergence: a short recipe after Duo.

Rows have a noise level each; the network sees softmax(w/τ) of the latent of `process.duo`, with τ falling to 0 over the
training, and gives a distribution p over the clean token x. Its loss, per token, is scaled by the noise of the row:

    κ · { KL(δ_x ‖ p) + KL(p ‖ δ_x) } = κ · { −ln p(x) + Σ_v p ln p + c (1 − p(x)) },    c = −ln 1e-8,

with the logarithm of δ_x floored at −c, and κ = (1 − α)/(Kα + 1 − α) the chance of a wrong token relative to that of
the right one: it goes to 0 with the noise. In three places this is not what was published, which `as_published` is:

    κ      at α = T(γ), the noise that tokens have; published at the Gaussian 1 − t, where K κ hardly reaches 0.2
    KL     the second term as written above; published with exponentials of probabilities in place of probabilities,
           Σ e^{p_v} (p_v − ln(δ_v + 1e-8)), a constant and about 19.4 (1 − p(x))
    range  γ evenly where α goes from 0.95 to 0.05; published α̃ = 1 − t, t ~ U(0.03, 0.15), where at 30,000 tokens
           α stays below 0.45: texts with few errors are never seen

The optimum depends on z_i, so it is a posterior to sample with; but not the posterior. Given the true π it solves
−π_v/p_v + ln p_v − c·π_v = const: c (1 − p(x)) rewards the most probable token alone, so that π = (.7, .3) is answered
by p = (.94, .06). With `reverse` = 0 the loss is cross-entropy, and the optimum π.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..predictor import Predictor
from ..process.duo import operator
from ..process.needs import jumping
from ..randomness import Draws
from ..types import Batch, HeadKind
from .duo import check_rows, check_soft, soft_needs, soft_noise
from .objective import Loss, Objective, count, summed
from .times.estimator import Cells, Estimator
from .times.shared_offset import SharedOffset

FLOOR = 1e-8
"""Of the one-hot vector under the logarithm, and of τ."""
PUBLISHED = (0.03, 0.15)
"""t, with α̃ = 1 − t."""


@dataclass(frozen=True)
class DuoSimple(Objective):
    """Symmetric divergence of soft tokens with falling temperature, rows scaled by noise: no bound.

    `temperature` is τ at the start, `top` as in `duo`, `reverse` the weight of KL(p ‖ δ_x). `output` says what the
    network gives: the loss is of its posterior either way, and the evidence of z_i need not be learned (published:
    posterior).
    """

    as_published: bool = False
    output: Literal["leave_one_out", "posterior"] = "leave_one_out"
    temperature: float = 1e-3
    top: int = 2
    reverse: float = 1.0
    times: Estimator = field(default_factory=SharedOffset)

    is_bound = False
    needs = soft_needs("duo-simple")

    def __post_init__(self) -> None:
        check_soft(self.temperature, self.top, self.times)
        if not self.reverse >= 0:
            raise ValueError(f"reverse is the weight of a divergence and not negative, not {self.reverse}")

    @property
    def head(self) -> HeadKind:  # type: ignore[override]
        return self.output

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        check_rows("duo-simple", predictor)
        self.times.check(predictor)

    def at(self, progress: float) -> Objective:
        return replace(self, temperature=max(self.temperature * (1 - progress), FLOOR))

    @property
    def form(self) -> "Form":
        """The loss as meant, or as published."""
        return AS_PUBLISHED if self.as_published else AS_MEANT

    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        process = jumping(predictor.process)
        size = process.vocabulary.size
        cells = self.times.cells(batch, rows, None)
        gamma, scale = self.form.noise(self.times, cells, draws, size)
        alpha = operator(size).alpha(gamma)
        noised = soft_noise(process, batch, draws, cells.at(gamma), cells.at(alpha), self.top, self.temperature)
        sites = batch.editable
        prediction = predictor.predict(noised, batch, sites)
        scales = cells.at(scale)[sites]
        nats = scales * self.divergence(prediction.posterior(), noised.x0[sites]).double()
        loss = summed(nats, sites, noised, batch.editable, batch)
        return self.form.divided(loss, scales * count(sites, batch)[sites])

    def divergence(self, log_p: Float[Tensor, "*lead V"], x: Int[Tensor, "*lead"]) -> Float[Tensor, "*lead"]:
        """KL(δ_x ‖ p) + reverse · KL(p ‖ δ_x) per position, the second as published or as meant."""
        at_x = log_p.gather(-1, x[..., None])[..., 0]
        return -at_x + self.reverse * self.form.second(log_p, at_x, x)


class Form(ABC):
    """Where the loss as meant and as published differ: noise and its scale, the second divergence, the divisor."""

    @abstractmethod
    def noise(self, times: Estimator, cells: Cells, draws: Draws, size: int) -> tuple[Tensor, Tensor]:
        """γ and κ of each cell, of a vocabulary of `size` tokens."""

    @abstractmethod
    def second(self, log_p: Tensor, at_x: Tensor, x: Tensor) -> Tensor:
        """KL(p ‖ δ_x) per position, with the logarithm of δ_x floored."""

    @abstractmethod
    def divided(self, loss: Loss, scales: Tensor) -> Loss:
        """The loss with what it is divided by."""


class Meant(Form):
    """κ of the noise that tokens have, over all of its range; divided by the sum of κ."""

    def noise(self, times: Estimator, cells: Cells, draws: Draws, size: int) -> tuple[Tensor, Tensor]:
        shape = operator(size)
        gamma = times.levels(cells, draws, shape.range)
        # of the noisiest row 1: the factor that is left out would be undone by the weight
        return gamma, odds(shape.alpha(gamma), size) / odds(shape.alpha(torch.tensor(shape.range[1])), size)

    def second(self, log_p: Tensor, at_x: Tensor, x: Tensor) -> Tensor:
        p = log_p.exp()
        entropy = -(p * log_p.clamp(min=math.log(torch.finfo(log_p.dtype).tiny))).sum(-1)
        return -math.log(FLOOR) * (1 - at_x.exp()) - entropy

    def divided(self, loss: Loss, scales: Tensor) -> Loss:
        return replace(loss, weight=scales.sum())


class Published(Form):
    """κ at the Gaussian 1 − t, t between 0.03 and 0.15; exponentials of probabilities; divided by tokens."""

    def noise(self, times: Estimator, cells: Cells, draws: Draws, size: int) -> tuple[Tensor, Tensor]:
        level = times.levels(cells, draws, PUBLISHED)
        return -torch.log((1 - level) ** 2 / (1 - (1 - level) ** 2)), odds(1 - level, size)

    def second(self, log_p: Tensor, at_x: Tensor, x: Tensor) -> Tensor:
        p, tokens = log_p.exp(), log_p.isfinite()
        target = torch.full_like(p, math.log(FLOOR)).scatter(-1, x[..., None], math.log1p(FLOOR))
        return torch.where(tokens, p.exp() * (p - target), 0.0).sum(-1)

    def divided(self, loss: Loss, scales: Tensor) -> Loss:
        return loss


AS_MEANT, AS_PUBLISHED = Meant(), Published()


def odds(alpha: Float[Tensor, "..."], size: int) -> Float[Tensor, "..."]:
    """κ: the probability of one wrong token relative to that of the right one."""
    return (1 - alpha) / (size * alpha + 1 - alpha)
