"""What no other file holds: entropies of the worlds, limits of Duo's operator, Euler's order, T-step inequalities."""

import math

import torch

from ...predictor import Predictor
from ...process.discrete import Discrete
from ...process.duo import GRID, operator
from ..catalog import golden
from ..denoiser import ArbitraryDenoiser, bayes_predictor
from ..law import LAST_DIGIT, Law, in_last_digits
from ..reverse import chain_law, distance
from ..world import World, toy_a, twins
from .discrete_time import Stepped, bound
from .flow_matching import one_token
from .gaussian import pair
from .samplers import golden_grid, uniform_toy
from .scores import leap_rows

ENTROPIES = {"toy A": "1.2798542", "twins": "0.6931472", "p=(.5, .3, .2)": "1.0296530", "p=(.7, .3)": "0.6108643"}


def entropies() -> dict[str, tuple[World, str]]:
    worlds = (toy_a(), twins(), one_token(), pair())
    return {name: (world, printed) for (name, printed), world in zip(ENTROPIES.items(), worlds, strict=True)}


def entropy_error(case: tuple[World, str]) -> float:
    """In units of the last printed digit."""
    world, printed = case
    return in_last_digits(world.entropy, printed)


def limit_error(size: int) -> float:
    """T is 1 without Gaussian noise, and where there is nothing else what its table has at its end, γ = 14.

    There μ = e^{−7} is left, and T = μ E[largest of K normal numbers]/(K − 1) + O(μ²): of two tokens 5.1e-4. Training
    stops at α = 0.05, and `duo/quadrature` holds that the integral itself goes on to 0.
    """
    alpha = operator(size).alpha(torch.tensor([-12.0, 60.0], dtype=torch.float64))
    u = torch.linspace(-9.0, 9.0, 100_001, dtype=torch.float64)
    below = ((size - 1) * torch.special.log_ndtr(u)).exp()
    largest = torch.trapezoid(size * u * below * (-u.square() / 2).exp(), u).item() / math.sqrt(2 * math.pi)
    left = math.exp(-GRID[1] / 2) * largest / (size - 1)
    return max(abs(1 - alpha[0].item()), abs(alpha[1].item() - left))


def euler_error(predictor: Predictor) -> float:
    """Four times the steps, a quarter of the distance of Euler's law on toy A: the ratio's distance from ¼."""
    few, many = (_euler(predictor, steps) for steps in (64, 256))
    return abs(many / few - 0.25)


def _euler(predictor: Predictor, steps: int) -> float:
    grid, case = golden_grid(steps), uniform_toy()
    rows = leap_rows(predictor, case.world, grid[:-1], grid[1:])
    return distance(chain_law(case.process, case.world, rows), case.world.law)


def stepped() -> dict[str, tuple[str, int]]:
    return {f"{name}, T={steps}": (name, steps) for name in golden(toy_a()) for steps in (1, 8)}


def inequality_error(case: tuple[str, int]) -> float:
    """Shortfall of the bound of T steps below the entropy, over 100 arbitrary networks."""
    name, steps = case
    small = toy_a()
    base = golden(small)[name]
    process = Discrete(small.vocabulary, base.schedule, base.destination, steps)
    least = math.inf
    for seed in range(100):
        network = Predictor(ArbitraryDenoiser(small, seed), process, "leave_one_out")
        least = min(least, bound(Stepped(small, network)))
    return max(0.0, small.entropy - least)


LAWS = (
    Law("world/entropy", entropies, entropy_error, LAST_DIGIT),
    Law("duo/limits", lambda: {f"K={size}": size for size in (2, 27, 256, 30522, 262144)}, limit_error, 2e-7),
    Law(
        "score/euler-order",
        lambda: {"uniform": bayes_predictor(toy_a(), uniform_toy().process)},
        euler_error,
        0.05,
    ),
    Law("discrete-time/inequality", stepped, inequality_error, 1e-9),
)
