"""Correctors: which keep the noisy marginal p_t, and the law of a chain with them through the decoding loop."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...decode.correctors.corrector import hidden, hides
from ...decode.strategies.predictor_corrector import PredictorCorrector
from ...predictor import Predictor
from ...process.interpolating import Interpolating
from ..catalog import golden, processes
from ..denoiser import bayes_predictor
from ..instruments import canvas, finish, gap, text_surprise
from ..law import LAST_DIGIT, Law, in_last_digits
from ..noise import Noise
from ..reverse import distance, log_predictions, renoised, step_rows
from ..world import World, small_worlds, toy_a, world

TIMES = (0.1, 0.5, 0.9)
HOGWILD = "0.14"  # toy A, t = 0.1


@dataclass(frozen=True)
class Case:
    world: World
    process: Interpolating


def small() -> World:
    return small_worlds()["K=2 L=3"]


def every_process() -> dict[str, Case]:
    return {name: Case(small(), process) for name, process in processes(small()).items()}


def marginal(case: Case, t: Tensor) -> Float[Tensor, " Z"]:
    """p_t over the states."""
    noise = Noise(case.process)
    states = case.world.states(noise.states)
    return case.world.law @ noise.of_texts(case.world.texts, states, t.expand(1, case.world.length))[0]


def redrawn(case: Case, t: Tensor) -> Float[Tensor, "L Z N"]:
    """α x_θ + b at each position of each state, x_θ read through the code under test: hidden first, if it hides."""
    small, noise = case.world, Noise(case.process)
    states, predictor = small.states(noise.states), bayes_predictor(small, case.process)
    rows = []
    for i in range(small.length):
        asked = states
        if hides(case.process):
            touched = (torch.arange(small.length) == i).expand(states.shape)
            asked = small.numbers(hidden(case.process, small.rows[states], touched))
        predicted = log_predictions(predictor, small, asked, t)[0, :, i][:, small.rows[:-1]].exp()
        rows.append(predicted @ noise.marginal(t)[0])
    return torch.stack(rows)


def gibbs(case: Case, t: Tensor) -> Float[Tensor, "Z Z"]:
    """A position at random, redrawn."""
    states = case.world.states(Noise(case.process).states)
    matrix = torch.zeros(len(states), len(states), dtype=torch.float64)
    for i, rows in enumerate(redrawn(case, t)):
        matrix += rows[:, states[:, i]] * _others_stay(states, i) / case.world.length
    return matrix


def _others_stay(states: Tensor, i: int) -> Float[Tensor, "Z Z"]:
    same = states[:, None] == states[None]
    same[..., i] = True
    return same.all(-1).double()


def gibbs_error(case: Case) -> float:
    """p_t is invariant under Gibbs at every time."""
    worst = 0.0
    for time in TIMES:
        t = torch.tensor([time], dtype=torch.float64)
        p = marginal(case, t)
        worst = max(worst, gap(p @ gibbs(case, t), p))
    return worst


def toys() -> dict[str, Case]:
    return {"uniform": Case(toy_a(), golden(toy_a())["uniform"])}


def hogwild_error(case: Case) -> float:
    """All positions at once are not: the total variation by which they move p_t on toy A, against its golden value."""
    t = torch.tensor([0.1], dtype=torch.float64)
    states = case.world.states(Noise(case.process).states)
    matrix = torch.stack([rows[:, states[:, i]] for i, rows in enumerate(redrawn(case, t))]).prod(0)
    p = marginal(case, t)
    return in_last_digits(distance(p @ matrix, p), HOGWILD)


def forward_backward(case: Case, t: Tensor, s: Tensor) -> Float[Tensor, "Z Z"]:
    """The noise from s to t, then the reverse step of the code under test."""
    noise, small = Noise(case.process), case.world
    states = small.states(noise.states)
    there = noise.transition(s, t)[0]
    forward = torch.stack([there[states[:, i]][:, states[:, i]] for i in range(small.length)]).prod(0)
    return forward @ back(bayes_predictor(small, case.process), small, t, s)


def back(predictor: Predictor, small: World, t: Tensor, s: Tensor) -> Float[Tensor, "Z Z"]:
    rows = step_rows(predictor, small, t, s)[0]
    states = small.states(rows.shape[-1])
    return torch.stack([rows[:, i][:, states[:, i]] for i in range(small.length)]).prod(0)


def moved(case: Case, step: float) -> float:
    t = torch.tensor([0.5], dtype=torch.float64)
    s = t - step
    p = marginal(case, s)
    return distance(p @ forward_backward(case, t, s), p)


def one_position() -> dict[str, Case]:
    alone = world(3, 1, [5, 2, 1])
    return {name: Case(alone, process) for name, process in processes(alone).items()}


def order_error(case: Case) -> float:
    """Half the step, a quarter of what p_s moves: the error of a chain of them vanishes with the steps."""
    return abs(moved(case, 0.01) / moved(case, 0.02) - 0.25)


def goldens() -> dict[str, Case]:
    return {name: Case(small(), process) for name, process in golden(small()).items()}


def chained() -> dict[str, tuple[Case, str]]:
    """Correctors and processes whose chain has no memory beside the text."""
    found = {
        f"{kind}, {name}": (case, kind) for kind in ("gibbs", "forward-backward") for name, case in goldens().items()
    }
    return found | {"informed, uniform": (goldens()["uniform"], "informed")}


def informed(case: Case, t: Tensor) -> Float[Tensor, "Z Z"]:
    """One position with weight 1/p(z_i | rest), redrawn; uniform noise."""
    small = case.world
    states, predictor = small.states(small.tokens), bayes_predictor(small, case.process)
    predicted = log_predictions(predictor, small, states, t)[0][..., small.rows[:-1]].exp()
    weight = 1 / predicted.gather(-1, states[..., None])[..., 0]
    choice = weight / weight.sum(-1, keepdim=True)
    matrix = torch.zeros(len(states), len(states), dtype=torch.float64)
    for i, rows in enumerate(redrawn(case, t)):
        matrix += choice[:, i : i + 1] * rows[:, states[:, i]] * _others_stay(states, i)
    return matrix


def chain_error(pair: tuple[Case, str]) -> float:
    """Four steps with two corrections between them: the loop's texts against the law pushed through tables."""
    case, kind = pair
    small, noise = case.world, Noise(case.process)
    predictor, states = bayes_predictor(small, case.process), small.states(noise.states)
    grid = torch.linspace(1.0, 0.0, 5, dtype=torch.float64)
    law = renoised(noise, torch.ones((), dtype=torch.float64))[states].prod(-1)
    for k in range(4):
        t, s = grid[k : k + 1], grid[k + 1 : k + 2]
        law = law @ back(predictor, small, t, s)
        if k < 3:
            move = {"gibbs": gibbs, "informed": informed}
            correction = forward_backward(case, t, s) if kind == "forward-backward" else move[kind](case, s)
            law = law @ correction @ correction
    end = finish(predictor, canvas(small, 16_000, steps=4), PredictorCorrector(corrector=kind, corrections=2))
    return text_surprise(small, end, law[(states < small.tokens).all(-1)])


LAWS = (
    Law("corrector/gibbs-keeps-the-marginal", every_process, gibbs_error, 1e-14),
    Law("corrector/hogwild-does-not", toys, hogwild_error, LAST_DIGIT),
    Law("corrector/forward-backward-one-position", one_position, lambda case: moved(case, 0.2), 1e-14),
    Law("corrector/forward-backward-order", goldens, order_error, 0.03),
    Law("corrector/chain", chained, chain_error, 6.0),
)
