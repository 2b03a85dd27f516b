"""Masks that take rare tokens first: the bound is tight, and with λ = 0 it is that of plain masks."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...predictor import Predictor
from ...process.destinations.mask import Mask
from ...process.interpolating import Interpolating
from ...process.schedules.one_minus_t import OneMinusT
from ...process.spindle import Spindle
from ...randomness import Draws
from ...types import HeadKind, Noised, State, Tags
from ..denoiser import ArbitraryDenoiser, BayesDenoiser
from ..expectation import diffusion, integral
from ..instruments import gap, read, shares
from ..law import Law
from ..noise import Noise
from ..reverse import log_predictions
from ..world import World, small_worlds, toy_a, world

COUNTS = (90, 7, 0)


def process_of(where: World, strength: float = 0.3) -> Spindle:
    return Spindle(where.vocabulary, strength, COUNTS[: where.tokens])


@dataclass(frozen=True, eq=False)
class Tables(Noise):
    """Marginals of a spindle; the process beside them is that of plain masks, which has the same levels."""

    spindle: Spindle

    def marginal(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t K N"]:
        counts = torch.tensor(self.spindle.counts, dtype=torch.float64)
        f = (1 + counts).log() / (1 + counts).log().max()
        bent = f - (counts * f).sum() / counts.sum()
        alpha = 1 - t[..., None] + self.spindle.strength * (torch.pi * t[..., None]).sin() * bent
        return torch.cat((torch.diag_embed(alpha), 1 - alpha[..., None]), dim=-1)


def tables(world: World, process: Spindle) -> Tables:
    return Tables(Interpolating(world.vocabulary, OneMinusT(), Mask()), process)


def integrand(world: World, predictor: Predictor, t: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    """E Σ_i ℓ_t by enumeration of texts and states."""
    process = predictor.process
    assert isinstance(process, Spindle)
    noise = tables(world, process)
    states = world.states(noise.states)
    joint = world.law[:, None] * noise.of_texts(world.texts, states, t[:, None].expand(-1, world.length))
    logits = _logits(predictor, world, states, t)
    node, x, z = (joint > 0).nonzero(as_tuple=True)
    ids = world.rows[world.texts[x]]
    editable = torch.ones_like(ids, dtype=torch.bool)
    noised = Noised(ids, State(world.rows[states[z]]), t[node][:, None].expand(ids.shape), editable)
    prediction = read(process, logits[node, z], noised.state, noised.t, predictor.head)
    nats = process.bound(prediction, noised).sum(-1)
    return torch.zeros(len(t), dtype=torch.float64).index_add_(0, node, joint[node, x, z] * nats)


def _logits(predictor: Predictor, world: World, states: Tensor, t: Tensor) -> Tensor:
    """What the head says, through the real predictor."""
    ids = world.rows[states].repeat(len(t), 1)
    times = t.repeat_interleave(len(states))[:, None].expand(ids.shape)
    positions = torch.arange(ids.shape[1]).expand(ids.shape)
    every = torch.ones_like(ids, dtype=torch.bool)
    hidden = predictor.run(predictor.rows(State(ids), times, Tags(positions), every))
    return predictor.read(hidden, State(ids), times).logits.view(len(t), *states.shape, -1)


def exact(world: World, strength: float, head: HeadKind = "leave_one_out") -> Predictor:
    process = process_of(world, strength)
    return Predictor(BayesDenoiser(world, tables(world, process), head), process, head)


def worlds() -> dict[str, tuple[World, float, HeadKind]]:
    found: dict[str, tuple[World, float, HeadKind]] = {
        f"strength={strength}, {name}": (where, strength, "leave_one_out")
        for name, where in (small_worlds() | {"toy A": toy_a()}).items()
        for strength in (0.1, 0.3)
    }
    return found | {"posterior head, toy A": (toy_a(), 0.3, "posterior")}


def tight_error(case: tuple[World, float, HeadKind]) -> float:
    """The integral under the exact network − entropy."""
    world, strength, head = case
    predictor = exact(world, strength, head)
    return abs(integral(lambda t: integrand(world, predictor, t), nodes=120) - world.entropy)


def mislabeled_error(world: World) -> float:
    """What is missing to a visible excess when the posterior is passed off as leave-one-out, at masks too."""
    right = exact(world, 0.3, "posterior")
    wrong = Predictor(right.denoiser, right.process, "leave_one_out")
    return max(0.0, 0.003 - integral(lambda t: integrand(world, wrong, t), nodes=60) + world.entropy)


def inequality_error(world: World) -> float:
    """Shortfall below the entropy of arbitrary networks."""
    worst = 0.0
    for seed in range(20):
        predictor = Predictor(ArbitraryDenoiser(world, seed), process_of(world), "leave_one_out")
        found = integral(lambda t, predictor=predictor: integrand(world, predictor, t), nodes=40)  # type: ignore[misc]
        worst = max(worst, world.entropy - found)
    return worst


def plain_error(world: World) -> float:
    """With λ = 0 the integrand of an arbitrary network is that of masks at α = 1 − t."""
    t = torch.tensor([0.01, 0.3, 0.5, 0.9, 0.999], dtype=torch.float64)
    spindle = Predictor(ArbitraryDenoiser(world, 5), process_of(world, 0.0), "leave_one_out")
    masks = Predictor(spindle.denoiser, Interpolating(world.vocabulary, OneMinusT(), Mask()), "leave_one_out")
    return gap(integrand(world, spindle, t), diffusion(masks, world, t))


def rate_error(seed: int) -> float:
    """The integrand of an arbitrary network against KL(bridge ‖ mixture of bridges)/h of a small step h; relative."""
    where, h = world(3, 1, [5, 3, 2]), 1e-6
    process = process_of(where)
    predictor = Predictor(ArbitraryDenoiser(where, seed), process, "leave_one_out")
    t = torch.tensor([0.05, 0.3, 0.6, 0.95], dtype=torch.float64)
    before, after = (tables(where, process).marginal(time) for time in (t, t - h))
    states = torch.full((1, 1), where.tokens)
    log_x = log_predictions(predictor, where, states, t)[:, 0, 0][:, where.rows[:-1]]
    p = log_x.exp() * before[..., -1]
    p = p / p.sum(-1, keepdim=True)
    opened = 1 - after[..., -1] / before[..., -1]
    closed = (1 - opened) * ((1 - opened) / (1 - (p * opened).sum(-1, keepdim=True))).log()
    kl = closed - opened * p.log()
    expected = (where.law * before[..., -1] * kl).sum(-1) / h
    return ((integrand(where, predictor, t) - expected).abs() / expected).max().item()


def reverse_error(times: tuple[float, float]) -> float:
    """Draws of a step from all masks have the law of the mixture of bridges; largest gap over 20,000 draws."""
    world, count = small_worlds()["K=3 L=2"], 20000
    predictor = exact(world, 0.3)
    process = predictor.process
    t, s = torch.tensor(times, dtype=torch.float64)
    before, after = (tables(world, process_of(world)).marginal(time) for time in (t, s))
    states = torch.full((1, 2), world.tokens)
    ids = world.rows[states[0, :1]].expand(count)
    log_x = log_predictions(predictor, world, states, t[None])[0, 0, 0]
    posterior = log_x[world.rows[:-1]].exp() * before[:, -1]
    posterior = posterior / posterior.sum()
    opened = posterior * (after.diagonal() - before.diagonal()) / before[:, -1]
    law = torch.cat((opened, 1 - opened.sum(-1, keepdim=True)))
    prediction = read(process, log_x.expand(count, -1), State(ids), t)
    drawn = process.step(prediction, State(ids), t, s, Draws.seeded(6).at(torch.arange(count))).state.ids
    return gap(shares(drawn, world.rows), law)


LAWS = (
    Law("spindle/tight", worlds, tight_error, 5e-8),
    Law("spindle/wrong-head-detected", small_worlds, mislabeled_error, 0.0),
    Law("spindle/inequality", lambda: {"toy A": toy_a()}, inequality_error, 1e-9),
    Law("spindle/rates", lambda: {f"network {seed}": seed for seed in range(3)}, rate_error, 1e-4),
    Law("spindle/plain", small_worlds, plain_error, 1e-10),
    Law("spindle/draws", lambda: {"0.9 to 0.4": (0.9, 0.4), "0.5 to 0": (0.5, 0.0)}, reverse_error, 0.015),
)
