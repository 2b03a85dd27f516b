"""Expectations without sampling: every text, every noisy state, and time by quadrature.

The values averaged come from the code under test (predictor, bound, reconstruction); what is exact here is the average.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..predictor import Predictor
from ..process.jumps import Jumps
from ..process.quadrature import gauss_legendre
from ..types import Batch, Noised, State
from .noise import Noise
from .world import World

Positions = Bool[Tensor, " L"]


@dataclass(frozen=True, eq=False)
class Enumeration:
    """Every (time, text, noisy state) of positive probability, as the rows of one batch.

    `probability` (B,) sums to 1 for each of the T times; `node` (B,) says which time a row has.
    """

    noised: Noised
    batch: Batch
    probability: Float[Tensor, " B"]
    node: Int[Tensor, " B"]

    def average(self, nats: Float[Tensor, "B L"], times: int) -> Float[Tensor, " T"]:
        """E[Σ_i nats_i] at each time."""
        return torch.zeros(times, dtype=torch.float64).index_add_(0, self.node, self.probability * nats.sum(-1))


def enumerate_noise(
    world: World, process: Jumps, times: Float[Tensor, " T"], editable: Positions | None = None
) -> Enumeration:
    """All (text, state) pairs at each time; positions that are not editable (all are by default) stay clean."""
    editable = torch.ones(world.length, dtype=torch.bool) if editable is None else editable
    noise = Noise(process)
    states, t = world.states(noise.states), times[:, None] * editable
    probability = world.law[:, None] * noise.of_texts(world.texts, states, t)
    node, x, z = (probability > 0).nonzero(as_tuple=True)
    ids = world.rows[world.texts[x]]
    shape = ids.shape
    everywhere = torch.ones(shape, dtype=torch.bool)
    row = torch.arange(shape[0])
    batch = Batch(
        ids=ids,
        editable=editable.expand(shape),
        valid=everywhere,
        positions=torch.arange(world.length).expand(shape),
        index=row,
        epoch=torch.zeros_like(row),
        slot=row,
    )
    noised = Noised(ids, State(world.rows[states[z]]), t[node], batch.editable)
    return Enumeration(noised, batch, probability[node, x, z], node)


def interpolating(predictor: Predictor) -> Jumps:
    """The predictor's process, of the one family that can be enumerated."""
    if not isinstance(predictor.process, Jumps):
        raise TypeError(f"{type(predictor.process).__name__} has no tables to enumerate")
    return predictor.process


def diffusion(
    predictor: Predictor, world: World, times: Float[Tensor, " T"], editable: Positions | None = None
) -> Float[Tensor, " T"]:
    """E Σ_i ℓ_t at each time, nats per text, through `informative`, `predict` and `bound`."""
    process = interpolating(predictor)
    found = enumerate_noise(world, process, times, editable)
    sites = process.informative(found.noised)
    nats = torch.zeros(sites.shape, dtype=torch.float64)
    nats[sites] = process.bound(predictor.predict(found.noised, found.batch, sites), found.noised[sites]).double()
    return found.average(nats, len(times))


def reconstruction(predictor: Predictor, world: World, t: float, editable: Positions | None = None) -> float:
    """E Σ_i −ln p(x_i | z) at one time, nats per text."""
    found = enumerate_noise(world, interpolating(predictor), torch.tensor([t], dtype=torch.float64), editable)
    sites = torch.ones(found.batch.ids.shape, dtype=torch.bool)
    prediction = predictor.predict(found.noised, found.batch, sites)
    nats = predictor.process.reconstruction(prediction, found.noised[sites]).double().view(sites.shape)
    return found.average(nats, 1).item()


def quadrature(low: float, high: float, nodes: int) -> tuple[Float[Tensor, " T"], Float[Tensor, " T"]]:
    """Nodes and weights on [low, high]: Gauss–Legendre in φ, t = sin²θ, θ = (π/2) sin²φ.

    The substitutions remove ends that behave like √t or t ln t, which the integrands of the bound have.
    """
    start, end = (math.asin(math.sqrt(math.asin(math.sqrt(t)) * 2 / math.pi)) for t in (low, high))
    x, w = gauss_legendre(nodes)
    phi = start + (end - start) * (x + 1) / 2
    theta = math.pi / 2 * torch.sin(phi) ** 2
    inside = (torch.sin(theta) ** 2).clamp(max=1 - 2.0**-53)  # the last nodes would round to 1
    return inside, w * (end - start) / 2 * torch.sin(2 * theta) * math.pi / 2 * torch.sin(2 * phi)


def integral(
    integrand: Callable[[Float[Tensor, " T"]], Float[Tensor, " T"]],
    low: float = 0.0,
    high: float = 1.0,
    nodes: int = 200,
) -> float:
    """∫ integrand dt over [low, high]."""
    times, weights = quadrature(low, high, nodes)
    return (integrand(times) * weights).sum().item()


def total(predictor: Predictor, world: World, editable: Positions | None = None, nodes: int = 200) -> float:
    """prior + ∫₀¹ E ℓ_t dt + reconstruction, in nats per text: at least the entropy of what is editable."""
    scored = world.length if editable is None else int(editable.sum())
    inside = integral(lambda t: diffusion(predictor, world, t, editable), nodes=nodes)
    return scored * predictor.process.prior_kl() + inside + reconstruction(predictor, world, 0.0, editable)
