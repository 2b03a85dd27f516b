"""A likelihood with its uncertainty and its units."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

Kind = Literal["exact", "bound", "estimate"]


@dataclass(frozen=True, eq=False)
class Estimate:
    """−ln p of some text, or a bound on it, from independent repetitions of one unbiased draw.

    `totals` holds one estimate of the diffusion term of the whole text per repetition (nats); `prior` and
    `reconstruction` are totals too. `passes` is the number of network passes over the text behind each repetition.
    `per_token` is the mean contribution of every editable token, in the order of the text. `steps` is the number of
    steps that the bound is of, where noise is in discrete time; the first of them is the reconstruction, which then is
    drawn anew in each repetition: `ends` are those draws (nats), which the standard error covers. `by_row` holds one
    estimate of −ln p of every window per repetition, all its terms included.
    """

    totals: Float[Tensor, " n"]
    prior: float
    reconstruction: float
    tokens: int
    passes: int
    kind: Kind
    per_token: Float[Tensor, " tokens"]
    by_row: Float[Tensor, "n B"]
    steps: int | None = None
    ends: Float[Tensor, " n"] | None = None

    @property
    def draws(self) -> int:
        """Passes over the text in all."""
        return len(self.totals) * self.passes

    @property
    def nats(self) -> float:
        """Mean of −ln p of the whole text, or of its bound."""
        return self.totals.mean().item() + self.prior + self.reconstruction

    @property
    def stderr(self) -> float:
        """Standard error of `nats` over the repetitions; 0 for an exact value, infinite for a single repetition."""
        if self.kind == "exact":
            return 0.0
        if len(self.totals) < 2:
            return math.inf
        drawn = self.totals if self.ends is None else self.totals + self.ends
        return (drawn.std(unbiased=True) / math.sqrt(len(self.totals))).item()

    def of_rows(self, first: int, stop: int) -> tuple[float, float]:
        """−ln p of some windows, or its bound, and the standard error (nats)."""
        drawn = self.by_row[:, first:stop].sum(-1)
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
        margin = student_t(len(self.totals) - 1) * stderr if self.kind != "exact" else 0.0
        return math.exp(mean), math.exp(mean - margin), _exp(mean + margin)


def _exp(x: float) -> float:
    return math.exp(x) if x < 700 else math.inf


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
