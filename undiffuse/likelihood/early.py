"""Noise levels that are drawn more often where there is little noise, where few positions carry much of the bound.

Let ν(t) be the share of tokens that are noise, between its least and its most, as a share of that range. As ν → 0 a
share of about ν of the positions is corrupted, and the integrand there, by ν, is of the order of 1/ν: its mean is
finite, and its second moment, ∫ ν·(1/ν)² dν, is not. Few draws without a rare large one then look too sure. With ν = u²

    ∫₀¹ ℓ(ν) dν = ∫₀¹ ℓ(u²) 2u du,

where the second moment is ∫ u²·(2u/u²)² du, which is finite. This is so by ν and not by t, since schedules begin
differently: GIDD's like √t. Where they end, much of the time may lie in the last of ν (geometric), where wrong networks
pay. So times are drawn half by u and half evenly, from the distribution function

    F(t) = (t + √ν(t)) / 2,    ∫₀¹ ℓ dt = E ℓ / F'(t),

in which no time weighs more than twice what it weighs among even times.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..objective.times.estimator import WHOLE, Cells, Estimator
from ..objective.times.shared_offset import SharedOffset
from ..process.needs import Need, jumps, law_of
from ..process.prediction import Prediction
from ..process.process import Process
from ..randomness import Draws
from ..types import Noised

HALVINGS = 60
"""Of [0, 1], until the spacing of float64 near 1."""


@dataclass(frozen=True)
class Early(Estimator):
    """F(t) evenly spaced with one random offset; over all noise levels only, which is what a bound takes.

    In discrete time the steps but the first are drawn, each as often as such a time falls into it.
    """

    needs = (
        Need(jumps, "times 'early' are of noise between tokens"),
        Need(lambda process: process.steps != 1, "times 'early' are of more than one step of noise"),
    )

    def quantiles(self, cells: Cells, draws: Draws) -> Float[Tensor, "B C"]:
        return SharedOffset().quantiles(cells, draws)

    def levels(self, cells: Cells, draws: Draws, clip: tuple[float, float]) -> Float[Tensor, "B C"]:
        return super().levels(cells, draws, WHOLE)  # of F, which goes through all of it wherever noise begins

    def placed(self, process: Process, levels: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        low = torch.full_like(levels, process.first, dtype=torch.float64)
        high, kept = torch.ones_like(low), _kept(process)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            below = _place(process, middle, kept) < levels
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        # in discrete time rounding must not lead into the first step; every time within a step is the same
        return ((low + high) / 2).clamp(min=1.5 * process.first)

    def integrand(self, process: Process, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        t, kept = noised.t.where(noised.editable, 1.0), _kept(process)
        nats = process.bound(prediction, noised)
        if process.steps is not None:
            drawn = _place(process, t, kept) - _place(process, t - 1 / process.steps, kept)
            return nats / (process.steps - 1) / drawn
        most, least = kept
        slope = -law_of(process).schedule.derivative(t) / (most - least) / (2 * _root(process, t, kept))
        return 2 * nats / (1 + slope)


def _kept(process: Process) -> tuple[float, float]:
    """α where the diffusion term begins and where it ends."""
    schedule = law_of(process).schedule
    first = torch.tensor(process.first, dtype=torch.float64)
    begin, end = schedule.ends
    return begin if process.steps is None else schedule.alpha(first).item(), end


def _root(process: Process, t: Float[Tensor, "*lead"], kept: tuple[float, float]) -> Float[Tensor, "*lead"]:
    """√ν, given `_kept`."""
    most, least = kept
    noise = law_of(process).schedule.one_minus_alpha(t.double()) - (1 - most)
    return (noise.clamp(min=0) / (most - least)).sqrt()


def _place(process: Process, t: Float[Tensor, "*lead"], kept: tuple[float, float]) -> Float[Tensor, "*lead"]:
    """F, given `_kept`."""
    return ((t - process.first) / (1 - process.first) + _root(process, t, kept)) / 2
