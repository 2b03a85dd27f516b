"""A likelihood with its uncertainty and its units."""

import math
import sys
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Kind = Literal["exact", "bound", "estimate"]

LEVELS = 64
"""Noise levels, over all draws, below which no error is stated: a rare large term may not have been seen once."""
DEGREES = 3
"""Degrees of freedom below which no error is stated."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """−ln p of some text, or a bound on it, from independent repetitions of one unbiased draw.

    All in nats. `diffusion` and `ends` (the reconstruction) hold one estimate of these terms of every window per
    repetition, `prior_by_row` that of every window, which is exact. `passes` is the number of network passes over the
    text behind each repetition. Within one, `parts` says which windows have noise that is drawn together; the parts are
    independent. `levels` counts the noise levels that a pass draws for each window. `per_token` is the mean
    contribution of every editable token, all terms included, in the order of the text. `steps` is the number of steps
    that the bound is of, where noise is in discrete time.
    """

    diffusion: Float[Tensor, "n B"]
    ends: Float[Tensor, "n B"]
    prior_by_row: Float[Tensor, " B"]
    parts: Int[Tensor, " B"]
    levels: Int[Tensor, " B"]
    tokens: int
    passes: int
    kind: Kind
    per_token: Float[Tensor, " tokens"]
    steps: int | None = None

    @property
    def drawn(self) -> Float[Tensor, "n B"]:
        """−ln p of every window, all terms, by repetition."""
        return self.diffusion + self.ends + self.prior_by_row

    @property
    def prior(self) -> float:
        """Of the whole text."""
        return self.prior_by_row.sum().item()

    @property
    def reconstruction(self) -> float:
        """Of the whole text, the mean of its draws."""
        return self.ends.sum(-1).mean().item()

    @property
    def draws(self) -> int:
        """Passes over the text in all."""
        return len(self.diffusion) * self.passes

    @property
    def nats(self) -> float:
        """Mean of −ln p of the whole text, or of its bound."""
        return self.of_rows(0, len(self.parts))[0]

    @property
    def stderr(self) -> float:
        """Standard error of `nats`; 0 for an exact value, infinite where there are too few draws to state one."""
        return self.of_rows(0, len(self.parts))[1]

    def of_rows(self, first: int, stop: int) -> tuple[float, float]:
        """−ln p of some windows, or its bound, and the standard error (nats)."""
        return self.drawn[:, first:stop].sum(-1).mean().item(), self._spread(first, stop)[0]

    def per(self, units: float | int) -> tuple[float, float]:
        """Mean and standard error per unit: tokens for nats per token, ln 2 · bytes for bits per byte."""
        return self.nats / units, self.stderr / units

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of `nats` for the draws: Student's t on the scale of ln nats, for the draws have long tails.

        It never reaches 0. From too few draws it is all that there is.
        """
        mean, (stderr, degrees) = self.nats, self._spread(0, len(self.parts))
        if stderr == 0:
            return mean, mean
        if mean <= 0:  # draws that came out at nothing have no scale
            return 0.0, math.inf
        factor = _exp(student_t(degrees) * stderr / mean)
        return mean / factor, mean * factor

    @property
    def perplexity(self) -> tuple[float, float, float]:
        """e^(nats per token) with the 95 % interval of the draws, NaN where there are too few to state one."""
        value, low, high = (_exp(nats / self.tokens) for nats in (self.nats, *self.interval))
        return (value, low, high) if math.isfinite(self.stderr) else (value, math.nan, math.nan)

    def _spread(self, first: int, stop: int) -> tuple[float, float]:
        """Standard error of some windows, and its degrees of freedom.

        These are Satterthwaite's for a sum of variances (1946), with f + 2 and − 2 for the spread of each that has f.
        """
        drawn, levels = self.drawn[:, first:stop], self.levels[first:stop]
        if self.kind == "exact" or first == stop:
            return 0.0, math.inf
        free = len(drawn) - 1
        if free == 0:
            return math.inf, 0.0
        sums = drawn.new_zeros(len(drawn), int(self.parts[stop - 1]) + 1).index_add(1, self.parts[first:stop], drawn)
        variance = sums[:, int(self.parts[first]) :].var(0, unbiased=True) / len(drawn)
        most = float(free * len(variance))
        if most < DEGREES or int(levels.sum()) * self.draws < LEVELS:
            return math.inf, most
        whole, squares = variance.sum().item(), variance.square().sum().item()
        degrees = whole**2 * (free + 2) / squares - 2 if squares > 0 else most
        return math.sqrt(whole), min(max(degrees, float(free)), most)


def _exp(x: float) -> float:
    """e^x, infinite where it is too large for a float."""
    return math.exp(x) if x < math.log(sys.float_info.max) else math.inf


def student_t(degrees: int | float) -> float:
    """Two-sided 95 % quantile of Student's t, by Newton's method on its distribution function (degrees ≥ 1)."""
    if degrees < 1:
        return math.inf
    if degrees > 200:
        return 1.96 * (1 + 1.2 / degrees)
    norm = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(degrees * math.pi)

    def density(x: Tensor) -> Tensor:
        return norm * (1 + x * x / degrees) ** (-(degrees + 1) / 2)

    quantile = 2.0
    for _ in range(60):
        grid = torch.linspace(0.0, quantile, 2001, dtype=torch.float64)
        mass = torch.trapezoid(density(grid), grid).item()
        quantile += max(-quantile / 2, (0.475 - mass) / density(torch.tensor(quantile, dtype=torch.float64)).item())
    return quantile
