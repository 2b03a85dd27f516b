"""Reverse kernels as tables, and the exact law of a sampler: whole distributions are pushed, nothing is drawn.

Times are vectors (T,): one table per step.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..predictor import Predictor
from ..process.jumps import Jumps
from ..types import State, Tags
from .expectation import interpolating
from .noise import Noise
from .world import World

Times = Float[Tensor, " T"]


def kernel_rows(
    process: Jumps,
    log_x: Float[Tensor, "T *lead V"],
    z: Int[Tensor, " T *lead"],
    t: Times,
    s: Times,
    world: World,
) -> Float[Tensor, "T *lead N"]:
    """p(z_s | z_t) over the states, from the branch masses of the code under test; states of mass zero stay."""
    column = (-1, *[1] * (z.ndim - 1))
    masses = process.law.kernel(log_x, State(world.rows[z]), t.view(column), s.view(column))
    noise = Noise(process)
    stays = torch.nn.functional.one_hot(z, noise.states).double()
    predicted = torch.zeros_like(stays)
    predicted[..., : noise.tokens] = log_x[..., world.rows[:-1]].exp()
    redrawn = renoised(noise, s).view(*column, noise.states)
    mixture = (
        masses.copy[..., None] * stays + masses.denoise[..., None] * predicted + masses.renoise[..., None] * redrawn
    )
    total = (masses.copy + masses.denoise + masses.renoise)[..., None]
    return torch.where(total > 0, mixture / total, stays)


def renoised(noise: Noise, s: Float[Tensor, "*t"]) -> Float[Tensor, "*t N"]:
    """What corrupted tokens of time s are drawn from; zero where there are none."""
    corrupted = noise.marginal(s)[..., 0, :].clone()
    corrupted[..., 0] -= noise.process.law.schedule.alpha(s)
    total = corrupted.sum(-1, keepdim=True)
    return torch.where(total > 0, corrupted / total, 0.0)


def bridge(noise: Noise, s: Times, t: Times) -> Float[Tensor, "T K N N"]:
    """q(z_s | z_t, x) by Bayes' rule: x, z_t, z_s. Zero where q_t(z_t | x) is."""
    joint = noise.marginal(s)[..., None] * noise.transition(s, t)[:, None]  # x, z_s, z_t
    evidence = noise.marginal(t)[:, :, None]
    return torch.where(evidence > 0, joint / evidence.where(evidence > 0, 1.0), 0.0).transpose(2, 3)


def log_predictions(
    predictor: Predictor, world: World, states: Int[Tensor, "Z L"], t: Times
) -> Float[Tensor, "T Z L V"]:
    """ln x_θ at every position of every state and time, through the real `Predictor`."""
    ids = world.rows[states].repeat(len(t), 1)
    times = t.repeat_interleave(len(states))[:, None].expand(ids.shape)
    editable = torch.ones_like(ids, dtype=torch.bool)
    positions = torch.arange(ids.shape[1]).expand(ids.shape)
    hidden = predictor.run(predictor.rows(State(ids), times, Tags(positions), editable))
    return predictor.read(hidden, State(ids), times).leave_one_out().view(len(t), *states.shape, -1)


def step_rows(predictor: Predictor, world: World, t: Times, s: Times) -> Float[Tensor, "T Z L N"]:
    """p(z_s at one position | all of z_t) of the code under test, for every state."""
    process = interpolating(predictor)
    states = world.states(Noise(process).states)
    predicted = log_predictions(predictor, world, states, t)
    return kernel_rows(process, predicted, states.expand(len(t), -1, -1), t, s, world)


def sampler_law(predictor: Predictor, world: World, grid: Times, last: Predictor | None = None) -> Float[Tensor, " X"]:
    """The law over texts of the chain from the prior through the times of `grid`, which ends at 0.

    Positions move independently given all of z_t. `last` takes the final step in place of `predictor`.
    """
    rows = step_rows(predictor, world, grid[:-1], grid[1:])
    if last is not None:
        rows[-1:] = step_rows(last, world, grid[-2:-1], grid[-1:])
    return chain_law(interpolating(predictor), world, rows)


def chain_law(process: Jumps, world: World, rows: Float[Tensor, "T Z L N"]) -> Float[Tensor, " X"]:
    """The law over texts of a chain from the prior, whose steps have these rows."""
    noise = Noise(process)
    states = world.states(noise.states)
    law = renoised(noise, torch.ones((), dtype=torch.float64))[states].prod(-1)
    for row in rows:
        matrix = torch.stack([row[:, i][:, states[:, i]] for i in range(world.length)]).prod(0)
        law = law @ matrix
    return law[(states < world.tokens).all(-1)]


def distance(p: Tensor, q: Tensor) -> float:
    """Total variation; mass that one of them lost counts."""
    return ((p - q).abs().sum().item() + abs((p.sum() - q.sum()).item())) / 2
