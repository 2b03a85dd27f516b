"""Reverse kernels as tables, and the exact law of a sampler: whole distributions are pushed, nothing is drawn."""

from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..predictor import Predictor
from ..process.interpolating import Interpolating
from ..types import State
from .noise import Noise
from .world import World


def kernel_rows(
    process: Interpolating,
    log_x: Float[Tensor, "*lead V"],
    z: Int[Tensor, "*lead"],
    t: Float[Tensor, ""],
    s: Float[Tensor, ""],
    world: World,
) -> Float[Tensor, "*lead N"]:
    """p(z_s | z_t) over the states, from the branch masses of the code under test."""
    masses = process.kernel(log_x, State(world.rows[z]), t, s)
    noise = Noise(process)
    stays = torch.nn.functional.one_hot(z, noise.states).double()
    predicted = torch.zeros_like(stays)
    predicted[..., : noise.tokens] = log_x[..., world.rows[:-1]].exp()
    total = (masses.copy + masses.denoise + masses.renoise)[..., None]
    mixture = masses.copy[..., None] * stays + masses.denoise[..., None] * predicted
    return (mixture + masses.renoise[..., None] * renoised(noise, s)) / total


def renoised(noise: Noise, s: Float[Tensor, ""]) -> Float[Tensor, " N"]:
    """What corrupted tokens of time s are drawn from; uniform where there are none."""
    corrupted = noise.marginal(s)[0].clone()
    corrupted[0] -= noise.process.schedule.alpha(s)
    total = corrupted.sum()
    return corrupted / total if total > 0 else torch.full_like(corrupted, 1 / noise.states)


def bridge(noise: Noise, s: Float[Tensor, ""], t: Float[Tensor, ""]) -> Float[Tensor, "K N N"]:
    """q(z_s | z_t, x) by Bayes' rule: x, z_t, z_s. Zero where q_t(z_t | x) is."""
    joint = noise.marginal(s)[:, :, None] * noise.transition(s, t)  # x, z_s, z_t
    evidence = noise.marginal(t)[:, None, :]
    return torch.where(evidence > 0, joint / evidence.where(evidence > 0, 1.0), 0.0).transpose(1, 2)


def log_predictions(
    predictor: Predictor, world: World, states: Int[Tensor, "Z L"], t: Float[Tensor, ""]
) -> Float[Tensor, "Z L V"]:
    """ln x_θ at every position of every state, through the real `Predictor`."""
    ids = world.rows[states]
    times = t.expand(ids.shape)
    editable = torch.ones_like(ids, dtype=torch.bool)
    positions = torch.arange(ids.shape[1]).expand(ids.shape)
    hidden = predictor.hidden(State(ids), times, positions, editable)
    return predictor.read(hidden, State(ids), times).leave_one_out()


def step_matrix(predictor: Predictor, world: World, t: Float[Tensor, ""], s: Float[Tensor, ""]) -> Float[Tensor, "Z Z"]:
    """p(z_s | z_t) of whole sequences: positions move independently given all of z_t."""
    process = predictor.process
    assert isinstance(process, Interpolating)
    states = world.states(Noise(process).states)
    rows = kernel_rows(process, log_predictions(predictor, world, states, t), states, t, s, world)
    matrix = torch.ones(len(states), len(states), dtype=torch.float64)
    for i in range(world.length):
        matrix = matrix * rows[:, i][:, states[:, i]]
    return matrix


def sampler_law(predictor: Predictor, world: World, grid: Float[Tensor, " T"]) -> Float[Tensor, " X"]:
    """The law over texts of the chain from the prior through the times of `grid`, the last of which is 0."""
    process = predictor.process
    assert isinstance(process, Interpolating)
    states = world.states(Noise(process).states)
    law = prior_law(process, states)
    for t, s in pairwise(grid):
        law = law @ step_matrix(predictor, world, t, s)
    clean = (states < world.tokens).all(-1)
    return law[clean]


def prior_law(process: Interpolating, states: Int[Tensor, "Z L"]) -> Float[Tensor, " Z"]:
    """The chain's start: independent draws from what noise becomes at t = 1."""
    return renoised(Noise(process), torch.ones((), dtype=torch.float64))[states].prod(-1)


def distance(p: Tensor, q: Tensor) -> float:
    """Total variation; mass that one of them lost counts."""
    return ((p - q).abs().sum().item() + abs((p.sum() - q.sum()).item())) / 2
