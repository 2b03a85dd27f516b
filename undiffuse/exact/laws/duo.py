"""Duo: the operator from Gaussian to uniform noise, soft tokens, and what the two losses are unbiased for."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ...objective.duo import Duo
from ...objective.duo_simple import DuoSimple
from ...predictor import Predictor
from ...process.duo import coefficients, log_rest, moments, operator, soften
from ...randomness import Draws
from ...types import State
from ...vocabulary import Vocabulary
from ..catalog import golden
from ..denoiser import ArbitraryDenoiser
from ..expectation import diffusion, integral
from ..instruments import gap, sums, whole_texts
from ..law import LAST_DIGIT, Law, in_last_digits
from ..scoring import three, z_score
from ..surprise import surprise

GAMMAS = (-3.5, -3.0, -2.5, -1.75)
SIZES = (2, 27, 256, 30522, 262144)
# T(γ) at these γ
TABLE = {30522: ("0.9417", "0.6379", "0.2737", "0.0487"), 50257: ("0.9283", "0.5963", "0.2380", "0.0383")}
# γ at which α is 0.95 and 0.05
RANGES = {
    27: ("-2.70", "1.58"),
    256: ("-3.05", "-0.20"),
    30522: ("-3.53", "-1.76"),
    50257: ("-3.57", "-1.86"),
    151936: ("-3.64", "-2.04"),
    262144: ("-3.68", "-2.13"),
}


def sizes() -> dict[str, int]:
    return {f"K={size}": size for size in SIZES}


def tables() -> dict[str, tuple[int, tuple[str, ...]]]:
    return {f"K={size}": (size, printed) for size, printed in TABLE.items()}


def table_error(case: tuple[int, tuple[str, ...]]) -> float:
    """In units of the last printed digit, through the interpolation."""
    size, printed = case
    found = operator(size).alpha(torch.tensor(GAMMAS, dtype=torch.float64)).tolist()
    return max(in_last_digits(value, text) for value, text in zip(found, printed, strict=True))


def slope_golden_error(size: int) -> float:
    """In units of the last printed digit: T'(−3)."""
    return in_last_digits(operator(size).derivative(torch.tensor(-3.0, dtype=torch.float64)).item(), "-0.86144")


def ranges() -> dict[str, tuple[int, tuple[str, ...]]]:
    return {f"K={size}": (size, printed) for size, printed in RANGES.items()}


def range_error(case: tuple[int, tuple[str, ...]]) -> float:
    size, printed = case
    return max(in_last_digits(value, text) for value, text in zip(operator(size).range, printed, strict=True))


def spread(size: int) -> Tensor:
    """γ over and around the useful range, off the points of the interpolation."""
    first, last = operator(size).range
    return torch.linspace(first - 1, last + 1, 301, dtype=torch.float64) + 1.234e-3


def interpolation_error(size: int) -> float:
    """Of the cubics, against the quadrature."""
    gamma = spread(size)
    return gap(operator(size).alpha(gamma), moments(size, gamma)[0])


def derivative_error(size: int) -> float:
    """Of T' against differences of T."""
    gamma, h = spread(size), 1e-4
    difference = (moments(size, gamma + h)[0] - moments(size, gamma - h)[0]) / (2 * h)
    return gap(operator(size).derivative(gamma), difference)


def inverse_error(size: int) -> float:
    alpha = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    shape = operator(size)
    falling = max(0.0, shape.derivative(spread(size)).max().item())
    return max(gap(shape.alpha(shape.inverse(alpha)), alpha), falling)


def quadrature_error(size: int) -> float:
    """Against a plain sum over 400,000 points, and the ends: no noise gives 1, nothing but noise 0."""
    u = torch.linspace(-9, 9, 400_001, dtype=torch.float64)
    worst = 0.0
    for gamma in (-3.0, -1.0, 2.0):
        mu = math.exp(-gamma / 2)
        below = torch.special.ndtr(u + mu) ** (size - 1)
        mass = torch.trapezoid(below * (-u.square() / 2).exp(), u).item() / math.sqrt(2 * math.pi)
        expected = size / (size - 1) * (mass - 1 / size)
        worst = max(worst, abs(moments(size, torch.tensor(gamma))[0].item() - expected))
    start, end = moments(size, torch.tensor([-12.0, 60.0], dtype=torch.float64))[0].tolist()
    return max(worst, abs(start - 1), abs(end))


COUNT = 40_000


@dataclass(frozen=True)
class Softening:
    """A vocabulary, how many entries are drawn, and the noise."""

    size: int
    top: int
    gamma: float

    @property
    def own(self) -> int:
        """The number of x."""
        return self.size // 2

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(rows=self.size + 3, mask=1, pad=None, reserved=frozenset({0, self.size + 2}))

    def draw(self, temperature: float, count: int = COUNT) -> tuple[Tensor, State]:
        real = torch.tensor(self.vocabulary.predictable)
        x0 = real[torch.full((count,), self.own)]
        keys = Draws.seeded(8).at(torch.arange(count))
        gamma = torch.full((count,), self.gamma, dtype=torch.float64)
        every = torch.ones(count, dtype=torch.bool)
        return x0, soften(self.vocabulary, x0, gamma, every, keys, top=self.top, temperature=temperature)

    def dense(self, temperature: float, count: int = COUNT) -> Tensor:
        """softmax(w/τ) with every coordinate drawn."""
        alpha, sigma = coefficients(torch.tensor(self.gamma))
        keys = Draws.seeded(9).at(torch.arange(count)).along(self.size)
        w = sigma * torch.special.ndtri(keys.uniform())
        w[:, self.own] += alpha
        return (w / temperature).softmax(-1)


def softenings() -> dict[str, Softening]:
    return {
        "K=64 whole": Softening(64, 63, -1.0),
        "K=64 top=2": Softening(64, 2, -1.0),
        "K=64 top=8": Softening(64, 8, -1.0),
        "K=2 top=1": Softening(2, 1, 0.5),
        "K=3000 top=1": Softening(3000, 1, -2.5),
    }


def argmax_error(case: Softening) -> float:
    """The argmax has uniform noise with α = T(γ), every other token alike."""
    _, state = case.draw(1e-3)
    real = torch.tensor(case.vocabulary.predictable)
    alpha = operator(case.size).alpha(torch.tensor(case.gamma)).item()
    law = torch.full((case.size,), (1 - alpha) / case.size, dtype=torch.float64)
    law[case.own] += alpha
    return surprise(torch.searchsorted(real, state.ids), law)


def names_error(case: Softening) -> float:
    """Entries are different real tokens, x first; weights sum to one; the argmax is the heaviest of the named."""
    x0, state = case.draw(0.05)
    assert state.soft is not None
    ids, weights = state.soft
    ordered = ids.sort(-1).values
    doubled = (ordered[:, 1:] == ordered[:, :-1]).any(-1)
    unreal = ~torch.isin(ids, torch.tensor(case.vocabulary.predictable)).all(-1)
    named = weights[:, : case.top + 1].argmax(-1, keepdim=True)
    wrong = doubled | unreal | (ids[:, 0] != x0) | (ids.gather(1, named)[:, 0] != state.ids)
    return max(wrong.double().mean().item(), gap(weights.sum(-1), 1) - 1e-6)


TEMPERATURES = (0.02, 0.3)


def weight_error(case: Softening) -> float:
    """The means of x's weight, of the largest weight and of its square are those of the dense form: z, in deviations.

    With entries left out the rest counts by its mean, which a convex function of it does not allow: at τ = 0.3 only
    the whole form is compared.
    """
    worst = 0.0
    for temperature in TEMPERATURES[: 2 if case.top >= case.size - 1 else 1]:
        _, state = case.draw(temperature)
        assert state.soft is not None
        found, dense = state.soft[1].double(), case.dense(temperature)
        largest = found[:, : case.top + 1].amax(-1)
        pairs = ((found[:, 0], dense[:, case.own]), (largest, dense.amax(-1)), (largest**2, dense.amax(-1) ** 2))
        for mine, theirs in pairs:
            error = (mine.var() / len(mine) + theirs.var() / len(theirs)).sqrt().clamp(min=1e-9)
            worst = max(worst, abs((mine.mean() - theirs.mean()) / error).item())
    return worst


def small() -> dict[str, Softening]:
    return {name: case for name, case in softenings().items() if case.size <= 64}


def rest_error(cut: float) -> float:
    """E[e^{u/τ} | u < c] against a sum over points, relative."""
    worst = 0.0
    for sigma, temperature in ((0.9, 0.5), (0.4, 0.1)):
        u = torch.linspace(-12, cut / sigma, 200_001, dtype=torch.float64)
        density = (-u.square() / 2).exp()
        mean = torch.trapezoid(density * (u * sigma / temperature).exp(), u) / torch.trapezoid(density, u)
        found = log_rest(torch.tensor(cut, dtype=torch.float64), torch.tensor(sigma).double(), temperature, 5)
        worst = max(worst, abs(found.exp().item() / (5 * mean.item()) - 1))
    return worst


def cuts() -> dict[str, float]:
    return {f"c={cut}": cut for cut in (-1.0, 0.3, 2.0)}


def loss_error(objective: Duo) -> float:
    """To a network that reads argmax(w) alone the loss is the bound over α from 0.95 to 0.05, unbiased."""
    predictor = Predictor(ArbitraryDenoiser(three(), seed=5), golden(three())["uniform"], "leave_one_out")
    batch, mixed = whole_texts(three())
    found = sums(objective.loss, predictor, batch, seed=3, count=40)
    return z_score(found, integral(lambda t: diffusion(predictor, mixed, t), 0.05, 0.95, nodes=60) * len(batch.ids))


def duos() -> dict[str, Duo]:
    return {"one-minus-t": Duo(), "one-minus-t, top=1, temperature=1": Duo(top=1, temperature=1.0)}


def optimum_error(case: tuple[DuoSimple, float]) -> float:
    """What minimizes the expected loss, by search, against the probability that it should give to π = .7."""
    objective, expected = case
    pi = torch.tensor([0.7, 0.3], dtype=torch.float64)
    p = torch.linspace(0.5, 0.9999, 50_000, dtype=torch.float64)
    log_p = torch.stack((p, 1 - p), -1).log()
    nats = sum(pi[v] * objective.divergence(log_p, torch.full(p.shape, v)) for v in (0, 1))
    assert isinstance(nats, Tensor)
    return abs(p[nats.argmin()].item() - expected)


def stationary(pi: float, weight: float) -> float:
    """p of a token with probability π, of two, that solves −π_v/p_v + weight·(ln p_v − c π_v) = const, by bisection."""
    c, low, high = -math.log(1e-8), 0.5, 1 - 1e-12
    for _ in range(80):
        p = (low + high) / 2
        slope = -pi / p + (1 - pi) / (1 - p) + weight * (math.log(p / (1 - p)) - c * (2 * pi - 1))
        low, high = (p, high) if slope < 0 else (low, p)
    return low


def optima() -> dict[str, tuple[DuoSimple, float]]:
    """Sharper than the posterior, and the posterior without the reverse divergence."""
    return {
        "symmetric": (DuoSimple(), stationary(0.7, 1.0)),
        "reverse=0.1": (DuoSimple(reverse=0.1), stationary(0.7, 0.1)),
        "reverse=0": (DuoSimple(reverse=0.0), 0.7),
    }


LAWS = (
    Law("duo/operator-golden", tables, table_error, LAST_DIGIT),
    Law("duo/slope-golden", lambda: {"K=262144": 262144}, slope_golden_error, LAST_DIGIT),
    Law("duo/range", ranges, range_error, LAST_DIGIT),
    Law("duo/quadrature", sizes, quadrature_error, 1e-8),
    Law("duo/interpolation", sizes, interpolation_error, 1e-10),
    Law("duo/derivative", sizes, derivative_error, 1e-6),
    Law("duo/inverse", sizes, inverse_error, 1e-10),
    Law("duo/argmax", softenings, argmax_error, 6.0),
    Law("duo/names", softenings, names_error, 0.0),
    Law("duo/weights", small, weight_error, 4.5),
    Law("duo/rest", cuts, rest_error, 1e-6),
    Law("duo/unbiased", duos, loss_error, 4.5),
    Law("duo-simple/optimum", optima, optimum_error, 2e-5),
)
