"""Every recipe learns toy A by its own process, objective and head, through the training loop.

Toy A has two tokens, two positions and P(00, 01, 10, 11) = (.4, .1, .2, .3), of entropy H = 1.2798542 nats.

With a bound, or an optimum at which the bound is tight: prior + diffusion + reconstruction of what was learned, by
enumeration and quadrature, is within 0.01 nats of H. Below H it cannot be.

Without a bound: let Q be the exact chain of the reverse steps under the optimum of the loss, P_θ that under the
network. Then by the triangle inequality and Pinsker's inequality

    TV(P_θ, P) ≤ TV(Q, P) + √(KL(Q ‖ P_θ)/2),

TV(Q, P) is what a grid of 64 steps leaves, and KL over paths is at most 0.01 as above: √(0.01/2) = 0.071. All of
it is enumerated.

The networks are those of toy.py; recipes with blocks or a causal rule keep the transformer.
"""

import math
from dataclasses import dataclass
from functools import cache

import pytest
import torch
from torch import Tensor
from toy_training import ADAM, MODEL, ROWS, WORLD, Texts, batch_of, learned, network

from undiffuse.exact.denoiser import BayesDenoiser, bayes_predictor
from undiffuse.exact.expectation import diffusion, integral, total
from undiffuse.exact.laws import spindle
from undiffuse.exact.laws.samplers import golden_grid
from undiffuse.exact.noise import Noise
from undiffuse.exact.reverse import chain_law, distance, renoised, step_rows
from undiffuse.likelihood.bound import bound
from undiffuse.likelihood.windows import windows
from undiffuse.objective.duo_simple import FLOOR
from undiffuse.predictor import Predictor
from undiffuse.process.jumps import Jumps
from undiffuse.process.matrix import Matrix
from undiffuse.process.spindle import Spindle
from undiffuse.training.recipe import ALIASES, recipes, resolve
from undiffuse.types import Noised, State

NEAR = 0.01
"""Nats per text."""
PINSKER = (NEAR / 2) ** 0.5
GRID = golden_grid(64)
TRANSFORMERS: dict[str, tuple[str, ...]] = {"ar": (), "ar-regularized": (), "block": ("model.block_length=1",)}
STEPS = {
    "ar": 40,
    "ar-regularized": 40,
    "block": 120,
    "d3pm-matrix": 250,
    "d3pm-uniform": 300,
    "duo": 250,
    "duo-simple": 250,
    "flow-matching": 250,
    "gidd": 300,
    "sedd-uniform": 300,
    "udlm": 250,
    "xdlm": 200,
}
"""Of the training; 120 where nothing is said."""


@cache
def toy(recipe: str, seed: int = 0, *overrides: str) -> Predictor:
    optimizer = (f"training.rows={ROWS}",) if recipe in TRANSFORMERS else ADAM
    configuration = resolve(recipe, (*MODEL, *optimizer, *TRANSFORMERS.get(recipe, ()), *overrides)).configuration
    return learned(configuration, network, Texts(), WORLD.vocabulary, STEPS.get(recipe, 120), seed)


# What was learned


@torch.no_grad()
def nats(predictor: Predictor) -> float:
    """prior + diffusion + reconstruction, per text."""
    process = predictor.process
    if predictor.traits.reads_previous or predictor.traits.block_length:
        found = bound(predictor, windows(WORLD.rows[WORLD.texts].tolist(), WORLD.length))
        assert found.kind == "exact"
        return float(WORLD.law @ found.per_token.view(4, 2).sum(-1))
    if process.steps is not None:
        t = torch.arange(1, process.steps + 1, dtype=torch.float64) / process.steps
        inside = moved(predictor, t) if isinstance(process, Matrix) else diffusion(predictor, WORLD, t)
        return WORLD.length * process.prior_kl() + inside.mean().item()
    if isinstance(process, Spindle):
        return integral(lambda t: spindle.integrand(WORLD, predictor, t), nodes=100)
    return total(predictor, WORLD)


def moved(predictor: Predictor, times: Tensor) -> Tensor:
    """E Σ_i of the bound's integrand at each time, of noise by a matrix: every text and every state."""
    process = predictor.process
    assert isinstance(process, Matrix)
    every, size = WORLD.rows[WORLD.texts], len(WORLD.texts)
    texts, states = every.repeat_interleave(size, 0), every.repeat(size, 1)
    number = {row: column for column, row in enumerate(process.states.tolist())}
    columns = torch.tensor([[number[z] for z in row] for row in states.tolist()])
    found = []
    for t in times:
        at = t.expand(texts.shape)
        chance = process.marginal(texts, at).gather(-1, columns[..., None])[..., 0].prod(-1)
        chance = chance * WORLD.law.repeat_interleave(4)
        noised, batch = Noised(texts, State(states), at, torch.ones_like(texts, dtype=torch.bool)), batch_of(texts)
        each = process.bound(predictor.predict(noised, batch, noised.editable), noised[noised.editable])
        found.append((chance * each.view(16, 2).sum(-1)).sum())
    return torch.stack(found)


@torch.no_grad()
def path_kl(optimum: Predictor, predictor: Predictor) -> float:
    """KL(Q ‖ P_θ) over the paths of the chain of 64 reverse steps."""
    process = predictor.process
    assert isinstance(process, Jumps)
    noise = Noise(process)
    states = WORLD.states(noise.states)
    law = renoised(noise, torch.ones((), dtype=torch.float64))[states].prod(-1)
    true, found = (step_rows(p, WORLD, GRID[:-1], GRID[1:]) for p in (optimum, predictor))
    nats = 0.0
    for here, there in zip(true, found, strict=True):
        gap = torch.where(here > 0, here * (here / there).log(), 0.0).sum((-1, -2))
        nats += (law * gap).sum().item()
        law = law @ torch.stack([here[:, i][:, states[:, i]] for i in range(WORLD.length)]).prod(0)
    return nats


@torch.no_grad()
def texts_of_chain(predictor: Predictor) -> Tensor:
    process = predictor.process
    assert isinstance(process, Jumps)
    return chain_law(process, WORLD, step_rows(predictor, WORLD, GRID[:-1], GRID[1:]))


# Which recipe is held to what

ELSEWHERE = {"plaid", "cdcd", "diffusion-lm"}
"""Their noise is on vectors: test_toy_vectors.py."""
SHARP = "duo-simple"
"""Its loss has another optimum than a prediction."""
EVERY = tuple(name for name in recipes() if name not in ALIASES)
TIGHT = tuple(name for name in EVERY if name not in {*ELSEWHERE, SHARP})


@pytest.mark.slow
@pytest.mark.parametrize("recipe", TIGHT)
def test_the_bound_comes_near_the_entropy(recipe):
    found = nats(toy(recipe))
    assert -1e-6 < found - WORLD.entropy < NEAR


def unbounded() -> list[str]:
    """Recipes on tokens whose loss is no bound, and whose optimum is exact."""
    return [name for name in TIGHT if not resolve(name).configuration.objective.is_bound]


def test_which_losses_are_no_bound():
    assert set(unbounded()) == {"bert-15-99", "d3pm-absorb", "duo", "flow-matching", "llada"}
    assert set(EVERY) > ELSEWHERE


@pytest.mark.parametrize("recipe", unbounded())
def test_texts_of_a_network_without_a_bound_have_the_law(recipe):
    predictor = toy(recipe)
    optimum = bayes_predictor(WORLD, predictor.process)
    grid = distance(texts_of_chain(optimum), WORLD.law)
    far, nats = distance(texts_of_chain(predictor), WORLD.law), path_kl(optimum, predictor)
    assert grid < 0.0045  # 64 steps: 0.0041 under uniform noise, 0.0031 under masks
    assert nats < NEAR
    assert far < grid + (nats / 2) ** 0.5 < 0.0045 + PINSKER


@dataclass(frozen=True, eq=False)
class Sharpened(BayesDenoiser):
    """What minimizes −ln p(x) + Σ p ln p + c (1 − p(x)) on average where the posterior of two tokens is π.

    −π_v/p_v + ln p_v − c π_v is the same for both (law `duo-simple/optimum`): bisection over ln p_0/p_1.
    """

    def probabilities(self, z, t):
        pi = super().probabilities(z, t)[..., 0]
        low, high = torch.full_like(pi, -60.0), torch.full_like(pi, 60.0)
        for _ in range(60):
            x = (low + high) / 2
            slope = (1 - pi) / torch.sigmoid(-x) - pi / torch.sigmoid(x) + x + math.log(FLOOR) * (2 * pi - 1)
            low, high = torch.where(slope < 0, x, low), torch.where(slope < 0, high, x)
        return torch.stack((torch.sigmoid(x), torch.sigmoid(-x)), dim=-1)


@pytest.mark.slow
def test_texts_of_a_sharper_optimum_have_its_law():
    """Q is the chain under the optimum, 0.11 from P: the loss rewards the most probable token."""
    predictor = toy(SHARP)
    process = predictor.process
    optimum = Predictor(Sharpened(WORLD, Noise(process), "posterior"), process, "posterior")
    law, texts, nats = texts_of_chain(optimum), texts_of_chain(predictor), path_kl(optimum, predictor)
    assert distance(law, WORLD.law) > 0.1
    assert nats < NEAR
    assert distance(texts, law) < (nats / 2) ** 0.5 < PINSKER
