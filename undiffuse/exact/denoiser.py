"""Networks that are exact: they enumerate every text instead of computing anything clever.

They take the place of a network, so the code under test runs unchanged from `Predictor` on.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..models.base import Denoiser
from ..models.kept import Seen
from ..models.traits import Traits
from ..predictor import Predictor
from ..process.jumps import Jumps
from ..randomness import Draws
from ..types import HeadKind, Rows, Tags
from .noise import Noise
from .world import World


def everything(queries: Tags, keys: Tags) -> None:
    """The attention rule without restriction."""


@dataclass(frozen=True, eq=False)
class BayesDenoiser(Denoiser):
    """The optimum of training, by Bayes' rule over all texts; it reads the noise level of each position.

    `head` says which of the two optima: `leave_one_out` p(x_i | z without z_i) or `posterior` p(x_i | z).
    """

    world: World
    noise: Noise
    head_kind: HeadKind

    @property
    def traits(self) -> Traits:
        return Traits(self.rows, self.world.length, everything, takes=frozenset({"level"}))

    @property
    def rows(self) -> int:
        return self.world.vocabulary.rows

    def trunk(self, rows: Rows, kv: Seen | None = None) -> Float[Tensor, "B L D"]:
        """Logits already: the trunk sees the whole text, the head only one position."""
        if rows.level is None:
            raise ValueError("exact denoisers need the noise level of each position")
        t = self.noise.process.time_at(1 - rows.level)
        probabilities = self.probabilities(self.world.numbers(rows.state.ids), t)
        logits = torch.full((*probabilities.shape[:2], self.rows), 3.0, dtype=torch.float64)
        logits[..., self.world.rows[:-1]] = probabilities.log()
        return logits

    def head(self, hidden: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead V"]:
        return hidden

    def probabilities(self, z: Int[Tensor, "B L"], t: Float[Tensor, "B L"]) -> Float[Tensor, "B L K"]:
        """p(x_i = v | …) at every position; uniform where the evidence has probability zero."""
        texts, law = self.world.texts, self.world.law
        evidence = self.noise.evidence(z, t)
        result = torch.zeros(*z.shape, self.world.tokens, dtype=torch.float64)
        for i in range(self.world.length):
            weight = law.expand(z.shape[0], -1)
            for j in range(self.world.length):
                if j != i or self.head_kind == "posterior":
                    weight = weight * evidence[:, j, texts[:, j]]
            for v in range(self.world.tokens):
                result[:, i, v] = weight[:, texts[:, i] == v].sum(-1)
        total = result.sum(-1, keepdim=True)
        return torch.where(total > 0, result / total, 1.0 / self.world.tokens)


@dataclass(frozen=True, eq=False)
class ArbitraryDenoiser(Denoiser):
    """A network that is wrong in a fixed, random way: its logits are noise, keyed by the state it sees."""

    world: World
    seed: int
    scale: float = 2.0

    @property
    def traits(self) -> Traits:
        return Traits(self.rows, self.world.length, everything)

    @property
    def rows(self) -> int:
        return self.world.vocabulary.rows

    def trunk(self, rows: Rows, kv: Seen | None = None) -> Float[Tensor, "B L D"]:
        ids = rows.state.ids
        place = (self.world.numbers(ids) * (self.world.tokens + 1) ** torch.arange(ids.shape[-1])).sum(-1, keepdim=True)
        draws = Draws.seeded(self.seed).at(place, torch.arange(ids.shape[-1]))
        return self.scale * torch.special.ndtri(draws.along(self.rows).uniform())

    def head(self, hidden: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead V"]:
        return hidden


def bayes_predictor(world: World, process: Jumps, head: HeadKind = "leave_one_out") -> Predictor:
    """The real `Predictor` on top of the exact denoiser."""
    return Predictor(BayesDenoiser(world, Noise(process), head), process, head)
