"""Objectives and likelihood estimators: unbiased for the exact bound, with less variance than independent draws."""

import importlib
import math
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import combinations, permutations

import torch
from torch import Tensor

from ...errors import UserError
from ...likelihood.bound import bound as estimate_bound
from ...likelihood.estimate import student_t
from ...objective import times as times_package
from ...objective.bound import Bound
from ...objective.cross_entropy import CrossEntropy
from ...objective.llada import Llada
from ...objective.objective import Loss
from ...objective.times.time_draw import TimeDraw
from ...objective.times.uniform import Uniform as IndependentTimes
from ...predictor import Predictor
from ...process.destinations.mask import Mask
from ...process.destinations.uniform import Uniform
from ...process.interpolating import Interpolating
from ...process.schedules.geometric import Geometric
from ...process.schedules.one_minus_t import OneMinusT
from ...randomness import Draws
from ...types import Batch, State
from ..catalog import golden, masked
from ..denoiser import ArbitraryDenoiser, bayes_predictor
from ..expectation import diffusion, enumerate_noise, integral, interpolating
from ..law import LAST_DIGIT, Law, in_last_digits
from ..surprise import surprise
from ..world import World, small_worlds

ROWS = 128
REPETITIONS = 40


def three() -> World:
    return small_worlds()["K=2 L=3"]


def time_draws() -> dict[str, TimeDraw]:
    """Every way of drawing times, from the files of its package."""
    found = {}
    for module in pkgutil.iter_modules(times_package.__path__):
        members = vars(importlib.import_module(f"{times_package.__name__}.{module.name}")).values()
        for cls in members:
            own = isinstance(cls, type) and cls.__module__.endswith(f".{module.name}")
            if own and issubclass(cls, TimeDraw) and cls is not TimeDraw:
                found[module.name.replace("_", "-")] = cls()
    return found


@cache
def predictors() -> dict[str, Predictor]:
    """A time-free masked network that is wrong, and exact ones for every kind of noise."""
    world = three()
    arbitrary = {
        f"arbitrary network, {name}": Predictor(ArbitraryDenoiser(world, seed=5), process, "leave_one_out")
        for name, process in masked(world).items()
        if name in ("mask, one-minus-t", "mask, polynomial", "mask, cos")
    }
    exact = {f"exact network, {name}": bayes_predictor(world, process) for name, process in golden(world).items()}
    return arbitrary | exact


def texts_of(world: World, rows: int = ROWS) -> Batch:
    """A batch of the possible texts in a fixed, uneven order; in one row of four the first token is given."""
    possible = (world.law > 0).nonzero()[:, 0]
    x = possible[torch.arange(rows) * 5 % len(possible)]
    ids = world.rows[world.texts[x]]
    editable = torch.ones_like(ids, dtype=torch.bool)
    editable[::4, 0] = False
    row = torch.arange(rows)
    return Batch(
        ids=ids,
        editable=editable,
        valid=torch.ones_like(editable),
        positions=torch.arange(world.length).expand_as(ids),
        index=row,
        epoch=torch.zeros_like(row),
        slot=row,
    )


def exact_bound(predictor: Predictor, batch: Batch, low: float = 0.0) -> float:
    """∫ E Σ ℓ_t dt over [low, 1] of the batch's rows, by enumeration of their noise."""
    world, total = three(), 0.0
    for ids, editable in zip(batch.ids, batch.editable, strict=True):
        total += _one_text(predictor, tuple(world.numbers(ids).tolist()), tuple(editable.tolist()), low)
    return total


@cache
def _one_text(predictor: Predictor, text: tuple[int, ...], editable: tuple[bool, ...], low: float) -> float:
    alone, free = only(torch.tensor(text)), torch.tensor(editable)
    return integral(lambda t: diffusion(predictor, alone, t, free), low, nodes=100)


def only(text: Tensor) -> World:
    """The world in which this is the one text: expectations over its noise alone."""
    world = three()
    return World(world.tokens, world.length, (world.texts == text).all(-1).double())


def z_score(samples: Tensor, expected: float) -> float:
    """Standard errors between a mean and what it should be."""
    return ((samples.mean() - expected).abs() / (samples.std() / math.sqrt(len(samples)))).item()


def losses(objective: Callable[[Predictor, Batch, Draws, int], Loss], predictor: Predictor) -> Tensor:
    batch = texts_of(three())
    return torch.stack(
        [
            objective(predictor, batch, Draws.seeded(3).at(repetition), ROWS).sum.double()
            for repetition in range(REPETITIONS)
        ]
    )


@dataclass(frozen=True)
class Estimator:
    """A network and a way of drawing times that apply to each other."""

    predictor: Predictor
    times: TimeDraw


def estimators() -> dict[str, Estimator]:
    found = {}
    for times_name, times in time_draws().items():
        for name, predictor in predictors().items():
            try:
                Bound(times).check(predictor)
            except UserError:
                continue
            found[f"{times_name}, {name}"] = Estimator(predictor, times)
    return found


def unbiased_error(case: Estimator) -> float:
    found = losses(Bound(case.times).loss, case.predictor)
    return z_score(found, exact_bound(case.predictor, texts_of(three())))


def quantiles(times: TimeDraw) -> Tensor:
    """Levels of 16 rows in 500 batches."""
    batch = texts_of(three(), 16)
    return torch.stack([times.quantiles(batch, Draws.seeded(1).at(n), 16) for n in range(500)])


def level_error(times: TimeDraw) -> float:
    """Every row's level is uniform over all batches: no row owns a part of time."""
    even = torch.full((8,), 1 / 8, dtype=torch.float64)
    return max(surprise((levels * 8).long(), even) for levels in quantiles(times).T)


def variance_error(times: TimeDraw) -> float:
    """The batch's mean of a smooth curve varies less than a tenth of what it does for independent levels."""
    found, independent = (
        (t * (1 - t) + t**3).mean(-1).var() for t in (quantiles(times), quantiles(IndependentTimes()))
    )
    return (found / independent).item()


def dependent() -> dict[str, TimeDraw]:
    return {name: times for name, times in time_draws().items() if not isinstance(times, IndependentTimes)}


def any_order_error(predictor: Predictor) -> float:
    """Quadrature over time = all subsets with weight L/l = the mean over all L! orders of the chain rule."""
    world, worst = three(), 0.0
    for text in world.texts:
        everything = (True,) * world.length
        over_time = _one_text(predictor, tuple(text.tolist()), everything, 0.0)
        counts = _equal_count(predictor, world, text)
        orders = list(permutations(range(world.length)))
        chain = sum(_chain(predictor, world, text, order) for order in orders) / len(orders)
        worst = max(worst, abs(over_time - chain), abs(counts - chain))
    return worst


def _equal_count(predictor: Predictor, world: World, text: Tensor) -> float:
    length, total = world.length, 0.0
    for count in range(1, length + 1):
        subsets = list(combinations(range(length), count))
        for hidden in subsets:
            nats = _nats(predictor, world, text, set(hidden))
            total += sum(nats[i] for i in hidden) / count / len(subsets)
    return total


def _chain(predictor: Predictor, world: World, text: Tensor, order: tuple[int, ...]) -> float:
    hidden, total = set(order), 0.0
    for i in order:
        total += _nats(predictor, world, text, hidden)[i]
        hidden = hidden - {i}
    return total


def _nats(predictor: Predictor, world: World, text: Tensor, hidden: set[int]) -> list[float]:
    """−ln p(x_i | the rest as it is, `hidden` masked) at every position."""
    z = text.clone()
    z[list(hidden)] = world.tokens
    ids = world.rows[z][None]
    t, everywhere = torch.full(ids.shape, 0.5, dtype=torch.float64), torch.ones_like(ids, dtype=torch.bool)
    hidden_states = predictor.hidden(State(ids), t, torch.arange(world.length)[None], everywhere)
    log_p = predictor.read(hidden_states, State(ids), t).logits.log_softmax(-1)[0]
    return [-log_p[i, world.rows[text[i]]].item() for i in range(world.length)]


def time_free() -> dict[str, Predictor]:
    return {name: predictor for name, predictor in predictors().items() if not predictor.denoiser.takes_time}


def llada_error(times: TimeDraw) -> float:
    """Without a floor LLaDA's loss is the bound, draw by draw."""
    predictor = _line()
    found, expected = (losses(o.loss, predictor) for o in (Llada(floor=0.0, times=times), Bound(times)))
    return ((found - expected).abs() / expected.clamp(min=1.0)).max().item()


def floor_error(floor: float) -> float:
    """With a floor it is the bound's integral over [floor, 1], divided by 1 − floor."""
    predictor = _line()
    found = losses(Llada(floor=floor).loss, predictor)
    return z_score(found, exact_bound(predictor, texts_of(three()), low=floor) / (1 - floor))


def _line() -> Predictor:
    world = three()
    process = Interpolating(world.vocabulary, OneMinusT(), Mask())
    return Predictor(ArbitraryDenoiser(world, seed=5), process, "leave_one_out")


def shared_times() -> dict[str, TimeDraw]:
    """Times that LLaDA's loss can use: those that are a time, not a count."""
    return {name: times for name, times in time_draws().items() if type(times).noise is TimeDraw.noise}


def cross_entropy_error(process: Interpolating) -> float:
    """With the exact posterior its mean is the entropy of the clean tokens given the noisy text, over all times."""
    world, predictor = three(), bayes_predictor(three(), process, "posterior")
    batch, objective = texts_of(world), CrossEntropy(IndependentTimes())
    draws = [objective.loss(predictor, batch, Draws.seeded(2).at(n), ROWS) for n in range(REPETITIONS)]
    found = torch.stack([loss.sum.double() for loss in draws])

    def uncertainty(times: Tensor) -> Tensor:
        total = torch.zeros(len(times), dtype=torch.float64)
        for ids, editable in zip(batch.ids, batch.editable, strict=True):
            noise = enumerate_noise(only(world.numbers(ids)), process, times, editable)
            sites = process.informative(noise.noised)
            nats = torch.zeros(sites.shape, dtype=torch.float64)
            prediction = predictor.predict(noise.noised, noise.batch, sites)
            nats[sites] = -prediction.log_prob(noise.noised.x0[sites])
            total += noise.average(nats, len(times))
        return total

    return z_score(found, integral(uncertainty, nodes=60))


def noisy_start() -> dict[str, Predictor]:
    """A schedule that starts with visible noise and ends with visible text."""
    process = Interpolating(three().vocabulary, Geometric(0.02, 1.0), Uniform())
    return {"exact network, uniform, geometric .02 to 1": bayes_predictor(three(), process)}


@cache
def likelihoods() -> dict[str, Predictor]:
    network = "arbitrary network, mask, one-minus-t"
    exact = {f"exact network, {name}": bayes_predictor(three(), process) for name, process in golden(three()).items()}
    return {network: predictors()[network]} | exact | noisy_start()


def covered() -> dict[str, Predictor]:
    """Not the growing mask: its integrand rises like 1/√t, and few draws without a rare large one look too sure."""
    return {name: predictor for name, predictor in likelihoods().items() if "growing" not in name}


SEEDS = 20


@cache
def _diffusions(predictor: Predictor) -> tuple[float, Tensor, Tensor]:
    """The exact value with the prior, and estimates of it with the half-widths of their 95 % intervals, by seed."""
    text = texts_of(three(), 16)
    exact = exact_bound(predictor, text) + int(text.editable.sum()) * predictor.process.prior_kl()
    found = [estimate_bound(predictor, text, draws=16, seed=seed) for seed in range(SEEDS)]
    diffusions = torch.tensor([estimate.nats - estimate.reconstruction for estimate in found], dtype=torch.float64)
    margins = torch.tensor([student_t(len(e.totals) - 1) * e.stderr for e in found], dtype=torch.float64)
    return exact, diffusions, margins


def estimate_error(predictor: Predictor) -> float:
    exact, diffusions, _ = _diffusions(predictor)
    return z_score(diffusions, exact)


def coverage_error(predictor: Predictor) -> float:
    """How many of 20 intervals miss the exact value; more than 4 of correct ones do so with probability 0.003."""
    exact, diffusions, margins = _diffusions(predictor)
    return float(((diffusions - exact).abs() > margins).sum())


def standard_error_error(predictor: Predictor) -> float:
    """|ln| of the mean squared standard error over the variance of the estimates that it describes."""
    _, diffusions, margins = _diffusions(predictor)
    stated = (margins / student_t(7)).square().mean()
    return abs(math.log(stated / diffusions.var()))


def student_error(case: tuple[int, str]) -> float:
    degrees, printed = case
    return in_last_digits(student_t(degrees), printed)


STUDENT = {1: "12.706", 2: "4.303", 7: "2.365", 30: "2.042", 120: "1.980"}


def students() -> dict[str, tuple[int, str]]:
    """Two-sided 95 % quantiles as tables print them."""
    return {f"{degrees} degrees": (degrees, printed) for degrees, printed in STUDENT.items()}


def reconstruction_error(predictor: Predictor) -> float:
    """The reconstruction term is unbiased."""
    world, text = three(), texts_of(three(), 16)
    found = torch.tensor(
        [estimate_bound(predictor, text, draws=2, seed=seed).reconstruction for seed in range(200)], dtype=torch.float64
    )
    expected = 0.0
    for ids, editable in zip(text.ids, text.editable, strict=True):
        noise = enumerate_noise(only(world.numbers(ids)), interpolating(predictor), torch.zeros(1).double(), editable)
        prediction = predictor.predict(noise.noised, noise.batch, noise.noised.editable)
        nats = torch.zeros(noise.noised.editable.shape, dtype=torch.float64)
        nats[noise.noised.editable] = -prediction.log_prob(noise.noised.x0[noise.noised.editable])
        expected += noise.average(nats, 1).item()
    return z_score(found, expected)


LAWS = (
    Law("estimator/any-order", time_free, any_order_error, 1e-9),
    Law("estimator/unbiased", estimators, unbiased_error, 4.5),
    Law("estimator/levels", time_draws, level_error, 6.0),
    Law("estimator/less-variance", dependent, variance_error, 0.1),
    Law("objective/llada-is-the-bound", shared_times, llada_error, 1e-12),
    Law("objective/llada-floor", lambda: {"floor=0.05": 0.05, "floor=0.3": 0.3}, floor_error, 4.5),
    Law("objective/cross-entropy", lambda: golden(three()), cross_entropy_error, 4.5),
    Law("likelihood/unbiased", likelihoods, estimate_error, 4.5),
    Law("likelihood/coverage", covered, coverage_error, 4.0),
    Law("likelihood/standard-error", covered, standard_error_error, 1.0),
    Law("likelihood/student-t", students, student_error, LAST_DIGIT),
    Law("likelihood/reconstruction", noisy_start, reconstruction_error, 4.5),
)
