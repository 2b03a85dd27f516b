"""The exact law of the sampler: it converges to the model's at first order; with the wrong head it does not."""

import math
from itertools import pairwise

import torch
from torch import Tensor

from ...predictor import Predictor
from ...process.interpolating import Interpolating
from ..catalog import golden, processes
from ..denoiser import bayes_predictor
from ..law import LAST_DIGIT, Law, in_last_digits
from ..noise import Noise
from ..reverse import bridge, distance, sampler_law, step_rows
from ..slack import prior_of
from ..world import small_worlds, toy_a, twins
from .bounds import Case, mislabeled

# Total variation on toy A after T steps on an even grid from 1 to 1e-4 and a draw from the posterior
STEPS = (4, 16, 64, 256, 1024)
ANCESTRAL = ("0.0673", "0.0167", "0.0041", "0.0010", "0.0003")
WRONG_HEAD = ("0.1317", "0.1289", "0.1290", "0.1291", "0.1291")
# The discrete bound on toy A with T steps
DISCRETE = {1: "1.36616", 2: "1.33493", 8: "1.29470", 32: "1.28358", 128: "1.28079", 512: "1.28009"}


def grid(process: Interpolating, steps: int) -> Tensor:
    """Times from 1 to 0 that are even in α, so that every schedule gives the same steps."""
    start, end = process.schedule.ends
    times = process.schedule.inverse(torch.linspace(end, start, steps + 1, dtype=torch.float64))
    times[0], times[-1] = 1.0, 0.0
    return times


def golden_grid(steps: int) -> Tensor:
    """Even times from 1 to 1e-4, then 0."""
    return torch.cat([torch.linspace(1.0, 1e-4, steps + 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)])


def uniform_toy() -> Case:
    return Case(toy_a(), golden(toy_a())["uniform"])


def golden_samplers() -> dict[str, tuple[Predictor, tuple[str, ...]]]:
    case = uniform_toy()
    return {
        "uniform, leave-one-out": (bayes_predictor(case.world, case.process), ANCESTRAL),
        "uniform, posterior passed off": (mislabeled(case), WRONG_HEAD),
    }


def golden_error(case: tuple[Predictor, tuple[str, ...]]) -> float:
    """In units of the last printed digit; the last draw is from the true posterior in both."""
    predictor, printed = case
    world, last = toy_a(), bayes_predictor(toy_a(), uniform_toy().process)
    found = [distance(sampler_law(predictor, world, golden_grid(steps), last), world.law) for steps in STEPS]
    return max(in_last_digits(value, text) for value, text in zip(found, printed, strict=True))


def every_pair() -> dict[str, Case]:
    small = small_worlds()["K=2 L=3"]
    return {name: Case(small, process) for name, process in processes(small).items()}


def order_error(case: Case) -> float:
    """Four times the steps, a quarter of the error: the ratio's distance from ¼, once errors are small."""
    predictor = bayes_predictor(case.world, case.process)
    few, many = (
        distance(sampler_law(predictor, case.world, grid(case.process, steps)), case.world.law) for steps in (32, 128)
    )
    return abs(many / few - 0.25)


def correlation_error(process: Interpolating) -> float:
    """P(00) = P(11) = ½: one parallel step is wrong by ½; its bound is 2 ln 2 and falls to ln 2."""
    world = twins()
    predictor = bayes_predictor(world, process)
    parallel = distance(sampler_law(predictor, world, grid(process, 1)), world.law)
    one, many = (discrete_bound(Case(world, process), steps) for steps in (1, 256))
    falls = max(0.0, abs(many - math.log(2)) - 0.01)
    return max(abs(parallel - 0.5), abs(one - 2 * math.log(2)), falls)


def discrete_bound(case: Case, steps: int) -> float:
    """prior + Σ_k E KL(q(z_s | z_t, x) ‖ p_θ(z_s | z_t)) over an even grid down to clean text (D3PM), nats per text.

    p_θ comes from the branch masses of the code under test.
    """
    world, noise = case.world, Noise(case.process)
    predictor = bayes_predictor(world, case.process)
    states, times = world.states(noise.states), grid(case.process, steps)
    t, s = times[:-1], times[1:]
    joint = world.law[:, None] * noise.of_texts(world.texts, states, t[:, None].expand(-1, world.length))
    rows, true = step_rows(predictor, world, t, s), bridge(noise, s, t)
    total = prior_cost(noise) * world.length
    for i in range(world.length):
        p = true[:, world.texts[:, i]][:, :, states[:, i]]  # T, X, Z, N
        gap = torch.where(p > 0, p * (p / rows[:, None, :, i]).log(), 0.0).sum(-1)
        total += torch.where(joint > 0, joint * gap, 0.0).sum().item()
    return total


def prior_cost(noise: Noise) -> float:
    """KL(q_1(· | x) ‖ prior) of one token."""
    end = noise.marginal(torch.ones((), dtype=torch.float64))[0]
    possible = end > 0
    return (end[possible] * (end[possible] / prior_of(noise)[possible]).log()).sum().item()


def golden_discrete() -> dict[str, tuple[int, str]]:
    return {f"uniform, T={steps}": (steps, printed) for steps, printed in DISCRETE.items()}


def discrete_error(case: tuple[int, str]) -> float:
    """In units of the last printed digit."""
    steps, printed = case
    return in_last_digits(discrete_bound(uniform_toy(), steps), printed)


def limit_error(case: Case) -> float:
    """The discrete bound falls with the steps, stays above the entropy, and its excess is of first order."""
    bounds = [discrete_bound(case, steps) - case.world.entropy for steps in (1, 8, 32, 128)]
    rising = max(0.0, *(later - earlier for earlier, later in pairwise(bounds)))
    return max(rising, -bounds[-1], abs(bounds[-1] / bounds[-2] - 0.25))


LAWS = (
    Law("sampler/golden", golden_samplers, golden_error, LAST_DIGIT),
    Law("sampler/first-order", every_pair, order_error, 0.05),
    Law("sampler/correlated-extreme", lambda: golden(twins()), correlation_error, 1e-12),
    Law("discrete/golden", golden_discrete, discrete_error, LAST_DIGIT),
    Law("discrete/limit", every_pair, limit_error, 0.05),
)
