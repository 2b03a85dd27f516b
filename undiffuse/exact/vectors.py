"""Worlds whose tokens are vectors: exact denoisers of Gaussian noise, and expectations over it by quadrature.

Densities are written out, exp(−|z − α e_v|²/2σ²), and α and σ come from the noise level alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..models.base import Denoiser
from ..models.kept import Seen
from ..models.traits import Output, Traits
from ..predictor import Predictor
from ..process.gammas.gamma import Gamma
from ..process.gaussian import FIRST, Gaussian
from ..types import Batch, HeadKind, Noised, Rows, State
from .denoiser import everything
from .expectation import gauss_legendre
from .world import World


def circle(world: World) -> Float[Tensor, "V d"]:
    """±1 on a line for two tokens; more lie unevenly on a circle. Rows that are no tokens have vectors too."""
    rows = torch.arange(world.vocabulary.rows, dtype=torch.float64)
    if world.tokens == 2:
        table = torch.ones(len(rows), 1, dtype=torch.float64)
        table[world.rows[1]] = -1.0
        return table
    angle = 2.1 * rows + 0.3 * rows.square()
    return torch.stack((angle.cos(), angle.sin()), dim=-1)


def line(world: World) -> Float[Tensor, "V 1"]:
    """Numbers of several sizes, for up to three tokens."""
    table = torch.ones(world.vocabulary.rows, 1, dtype=torch.float64)
    table[world.rows[:-1], 0] = torch.tensor([1.5, -0.5, 0.4], dtype=torch.float64)[: world.tokens]
    return table


@dataclass(frozen=True, eq=False)
class VectorDenoiser(Denoiser):
    """What sees latents; the process adds noise to its `table`. The network is given numbers of variance 1."""

    world: World

    gives: ClassVar[Output] = "logits"

    @property
    def traits(self) -> Traits:
        return Traits(self.rows, self.world.length, everything, takes=frozenset({"level"}), gives=self.gives)

    @property
    def table(self) -> Float[Tensor, "V d"]:
        return circle(self.world)

    @property
    def tables(self) -> dict[str, Any]:
        return {"vectors": self.table}

    def latent(self, rows: Rows) -> Float[Tensor, "B L d"]:
        """z itself; of embeddings of norm 1, whose numbers have variance 1/d."""
        assert rows.level is not None
        assert rows.state.latent is not None
        spread = (1 - rows.level) / self.table.shape[1] + rows.level
        return rows.state.latent * spread.sqrt()[..., None]

    @property
    def rows(self) -> int:
        return self.world.vocabulary.rows

    def head(self, hidden: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead V"]:
        return hidden


@dataclass(frozen=True, eq=False)
class ExactVectors(VectorDenoiser):
    """Bayes' rule over all texts: leave-one-out or posterior."""

    head_kind: HeadKind = "leave_one_out"

    def trunk(self, rows: Rows, kv: Seen | None = None) -> Float[Tensor, "B L V"]:
        log_p = self.seen(rows)
        logits = torch.full((*log_p.shape[:2], self.rows), 3.0, dtype=torch.float64)
        logits[..., self.world.rows[:-1]] = log_p
        return logits

    def seen(self, rows: Rows) -> Float[Tensor, "B L K"]:
        assert rows.level is not None
        return self.log_probabilities(self.latent(rows), rows.level, self.world.numbers(rows.state.ids))

    def log_probabilities(
        self, z: Float[Tensor, "B L d"], level: Float[Tensor, "B L"], ids: Int[Tensor, "B L"]
    ) -> Float[Tensor, "B L K"]:
        """ln p(x_i = v | …), normalized; positions of level 0 are known."""
        world, evidence = self.world, self.evidence(z, level)
        known = torch.nn.functional.one_hot(ids.clamp(max=world.tokens - 1), world.tokens).double().log()
        evidence = torch.where(level[..., None] > 0, evidence, known)
        result = torch.zeros(*z.shape[:2], world.tokens, dtype=torch.float64)
        for i in range(world.length):
            weight = world.law.log().expand(len(z), -1)
            for j in range(world.length):
                if j != i or self.head_kind == "posterior":
                    weight = weight + evidence[:, j, world.texts[:, j]]
            for v in range(world.tokens):
                result[:, i, v] = weight[:, world.texts[:, i] == v].logsumexp(-1)
        return result.log_softmax(-1)

    def evidence(self, z: Float[Tensor, "B L d"], level: Float[Tensor, "B L"]) -> Float[Tensor, "B L K"]:
        """ln of the density of each latent under each token, up to a constant."""
        means = (1 - level).sqrt()[..., None, None] * self.table[self.world.rows[:-1]]
        return -(z[..., None, :] - means).square().sum(-1) / (2 * level[..., None])


@dataclass(frozen=True, eq=False)
class WrongVectors(VectorDenoiser):
    """A network that is wrong in a fixed way: logits that swing with all latents."""

    seed: int = 0

    def trunk(self, rows: Rows, kv: Seen | None = None) -> Float[Tensor, "B L V"]:
        assert rows.state.latent is not None
        latent = rows.state.latent.flatten(1)
        place = torch.arange(self.world.length * self.rows, dtype=torch.float64)
        mixing = torch.sin(1.3 * place[None] + torch.arange(latent.shape[1])[:, None] * 2.9 + self.seed)
        return torch.sin(latent @ mixing + 1.7 * place).view(len(latent), self.world.length, self.rows) * 1.5


@dataclass(frozen=True, eq=False)
class ExactEmbeddings(ExactVectors):
    """The posterior mean itself, of embeddings of free norm, which the network is given as they are."""

    head_kind: HeadKind = "posterior"

    gives = "embedding"

    @property
    def table(self) -> Float[Tensor, "V 1"]:
        return line(self.world)

    def latent(self, rows: Rows) -> Float[Tensor, "B L d"]:
        assert rows.state.latent is not None
        return rows.state.latent

    def trunk(self, rows: Rows, kv: Seen | None = None) -> Float[Tensor, "B L d"]:
        return self.seen(rows).exp() @ self.table[self.world.rows[:-1]]


@dataclass(frozen=True, eq=False)
class WrongEmbeddings(ExactEmbeddings):
    """The posterior mean, missed in a fixed way."""

    seed: int = 0

    def trunk(self, rows: Rows, kv: Seen | None = None) -> Float[Tensor, "B L d"]:
        found = super().trunk(rows, kv)
        return found + 0.3 * torch.sin(3 * found + self.seed + torch.arange(found.shape[1])[:, None])


def exact_embeddings(world: World, gamma: Gamma, seed: int | None = None) -> Predictor:
    """The real `Predictor` on top of a network that predicts embeddings: exact, or wrong by a seed."""
    network = ExactEmbeddings(world) if seed is None else WrongEmbeddings(world, seed=seed)
    return Predictor(network, Gaussian(world.vocabulary, gamma, embeddings="free"), "posterior")


def exact_vectors(world: World, gamma: Gamma, head: HeadKind = "leave_one_out") -> Predictor:
    """The real `Predictor` on top of the exact denoiser."""
    return Predictor(ExactVectors(world, head), Gaussian(world.vocabulary, gamma), head)


def average(
    predictor: Predictor,
    world: World,
    times: Float[Tensor, " T"],
    value: Callable[[Predictor, Noised, Batch], Float[Tensor, "B L"]],
    nodes: int,
    editable: Tensor | None = None,
) -> Float[Tensor, " T"]:
    """E Σ_i value_i over texts and noise at each time, for vectors of one number: trapezoids over the noise.

    They converge faster than any power, since densities are analytic and vanish at ±8.
    """
    process = predictor.process
    assert isinstance(process, Gaussian)
    free = torch.ones(world.length, dtype=torch.bool) if editable is None else editable
    line = torch.linspace(-8.0, 8.0, nodes, dtype=torch.float64)
    mass = torch.exp(-line.square() / 2) / torch.exp(-line.square() / 2).sum()
    count = int(free.sum())
    noise = torch.zeros(nodes**count, world.length, dtype=torch.float64)
    noise[:, free] = torch.cartesian_prod(*[line] * count).reshape(-1, count)
    weight = torch.cartesian_prod(*[mass] * count).reshape(-1, count).prod(-1)
    found = []
    assert isinstance(predictor.denoiser, VectorDenoiser)
    table = predictor.denoiser.table
    for t in times:
        at = process.at(t)
        texts = (world.law > 0).nonzero()[:, 0]
        ids = world.rows[world.texts[texts]].repeat_interleave(len(noise), 0)
        z = at.alpha * table[ids] + at.sigma * noise.repeat(len(texts), 1)[..., None]
        every, row = torch.ones_like(ids, dtype=torch.bool), torch.arange(len(ids))
        batch = Batch(
            ids, free.expand_as(ids), every, torch.arange(world.length).expand_as(ids), row, torch.zeros_like(row), row
        )
        noised = Noised(ids, State(ids, z), t * free.expand_as(ids), batch.editable)
        each = value(predictor, noised, batch).double()
        probability = (world.law[texts][:, None] * weight).flatten()
        found.append((probability * each.sum(-1)).sum())
    return torch.stack(found)


def integrand(predictor: Predictor, noised: Noised, batch: Batch) -> Float[Tensor, "B L"]:
    """The bound's, through `predict` and `bound`."""
    nats = torch.zeros(noised.t.shape, dtype=torch.float64)
    sites = noised.editable
    nats[sites] = predictor.process.bound(predictor.predict(noised, batch, sites), noised[sites])
    return nats


def reading(predictor: Predictor, noised: Noised, batch: Batch) -> Float[Tensor, "B L"]:
    """−ln p(x_i | z)."""
    nats = torch.zeros(noised.t.shape, dtype=torch.float64)
    sites = noised.editable
    nats[sites] = predictor.process.reconstruction(predictor.predict(noised, batch, sites), noised[sites])
    return nats


@dataclass(frozen=True)
class Terms:
    """Nats per text."""

    diffusion: float
    prior: float
    reconstruction: float

    @property
    def total(self) -> float:
        return self.diffusion + self.prior + self.reconstruction


def terms(predictor: Predictor, world: World, *, nodes: int, times: int = 60, editable: Tensor | None = None) -> Terms:
    """The three terms of the bound."""
    x, weight = gauss_legendre(times)
    t, weight = (1 + x) / 2, weight / 2
    first = torch.tensor([FIRST], dtype=torch.float64)
    free = torch.ones(world.length, dtype=torch.bool) if editable is None else editable
    each = predictor.process.prior_cost(world.rows[world.texts[:, free]]).sum(-1)
    return Terms(
        (weight * average(predictor, world, t, integrand, nodes, editable)).sum().item(),
        (world.law * each).sum().item(),
        average(predictor, world, first, reading, nodes, editable).item(),
    )
