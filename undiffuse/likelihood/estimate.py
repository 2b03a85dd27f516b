"""A likelihood with its uncertainty and its units."""

import math
import sys
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Kind = Literal["exact", "bound", "estimate"]


@dataclass(frozen=True, eq=False)
class Estimate:
    """−ln p of some text, or a bound on it, from independent repetitions of one unbiased draw.

    All in nats. `diffusion` and `ends` (the reconstruction) hold one estimate of these terms of every window per
    repetition, `prior_by_row` that of every window, which is exact. `passes` is the number of network passes over the
    text behind each repetition. `per_token` is the mean contribution of every editable token, all terms included, in
    the order of the text. `steps` is the number of steps that the bound is of, where noise is in discrete time.
    """

    diffusion: Float[Tensor, "n B"]
    ends: Float[Tensor, "n B"]
    prior_by_row: Float[Tensor, " B"]
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
        return self.of_rows(0, len(self.prior_by_row))[0]

    @property
    def stderr(self) -> float:
        """Standard error of `nats` over the repetitions; 0 for an exact value, infinite for a single repetition."""
        return self.of_rows(0, len(self.prior_by_row))[1]

    def of_rows(self, first: int, stop: int) -> tuple[float, float]:
        """−ln p of some windows, or its bound, and the standard error (nats)."""
        drawn = self.drawn[:, first:stop].sum(-1)
        if self.kind == "exact":
            return drawn.mean().item(), 0.0
        spread = drawn.std(unbiased=True).item() if len(drawn) > 1 else math.inf
        return drawn.mean().item(), spread / math.sqrt(len(drawn))

    def per(self, units: float | int) -> tuple[float, float]:
        """Mean and standard error per unit: tokens for nats per token, ln 2 · bytes for bits per byte."""
        return self.nats / units, self.stderr / units

    @property
    def perplexity(self) -> tuple[float, float, float]:
        """e^(nats per token) with a 95 % interval for the draws (Student's t over the repetitions)."""
        mean, stderr = self.per(self.tokens)
        margin = student_t(len(self.diffusion) - 1) * stderr if self.kind != "exact" else 0.0
        return _exp(mean), _exp(mean - margin), _exp(mean + margin)


def _exp(x: float) -> float:
    """e^x, infinite where it is too large for a float."""
    return math.exp(x) if x < math.log(sys.float_info.max) else math.inf


def student_t(degrees: int) -> float:
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
