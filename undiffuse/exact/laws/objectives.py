"""Objectives: unbiased for the exact bound, under every draw of time that applies."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ...errors import UserError
from ...objective.bound import Bound
from ...objective.clipped import Clipped
from ...objective.cross_entropy import CrossEntropy
from ...objective.llada import Llada
from ...objective.objective import Loss
from ...objective.times.estimator import Estimator
from ...objective.times.uniform import Uniform as IndependentTimes
from ...predictor import Predictor
from ...process.destinations.mask import Mask
from ...process.interpolating import Interpolating
from ...process.schedules.one_minus_t import OneMinusT
from ...randomness import Draws
from ...types import Batch
from ..catalog import golden
from ..denoiser import ArbitraryDenoiser, bayes_predictor
from ..expectation import enumerate_noise, integral
from ..instruments import sums
from ..law import Law
from ..scoring import exact_bound, only, predictors, texts_of, three, z_score
from .times import time_draws


def losses(objective: Callable[[Predictor, Batch, Draws, int], Loss], predictor: Predictor) -> Tensor:
    return sums(objective, predictor, texts_of(three()), seed=3, count=40)


@dataclass(frozen=True)
class Case:
    """A network and a way of drawing times that apply to each other."""

    predictor: Predictor
    times: Estimator


def estimators() -> dict[str, Case]:
    found = {}
    for times_name, times in time_draws().items():
        for name, predictor in predictors().items():
            try:
                Bound(times).check(predictor)
            except UserError:
                continue
            found[f"{times_name}, {name}"] = Case(predictor, times)
    return found


def unbiased_error(case: Case) -> float:
    found = losses(Bound(case.times).loss, case.predictor)
    return z_score(found, exact_bound(case.predictor, texts_of(three())))


def llada_error(times: Estimator) -> float:
    """Without a floor LLaDA's loss is the bound, draw by draw."""
    predictor = _line()
    found, expected = (losses(o.loss, predictor) for o in (Llada(floor=0.0, times=times), Bound(times)))
    return ((found - expected).abs() / expected.clamp(min=1.0)).max().item()


def floor_error(floor: float) -> float:
    """With a floor it is the bound's integral over [floor, 1], divided by 1 − floor."""
    predictor = _line()
    found = losses(Llada(floor=floor).loss, predictor)
    return z_score(found, exact_bound(predictor, texts_of(three()), low=floor) / (1 - floor))


def clipped_error(ends: tuple[float, float]) -> float:
    """Between two mask ratios it is the mean of the integrand there."""
    predictor, text, (low, high) = _line(), texts_of(three()), ends
    found = losses(Clipped([low, high]).loss, predictor)
    return z_score(found, (exact_bound(predictor, text, low) - exact_bound(predictor, text, high)) / (high - low))


def _line() -> Predictor:
    world = three()
    process = Interpolating(world.vocabulary, OneMinusT(), Mask())
    return Predictor(ArbitraryDenoiser(world, seed=5), process, "leave_one_out")


def shared_times() -> dict[str, Estimator]:
    """Times that LLaDA's loss can use: those that are a time, not a count."""
    return {name: times for name, times in time_draws().items() if type(times).noise is Estimator.noise}


def cross_entropy_error(process: Interpolating) -> float:
    """With the exact posterior its mean is the entropy of the clean tokens given the noisy text, over all times."""
    predictor = bayes_predictor(three(), process, "posterior")
    batch, objective = texts_of(three()), CrossEntropy(IndependentTimes())
    found = sums(objective.loss, predictor, batch, seed=2, count=40)
    rows = Counter((tuple(x.tolist()), tuple(e.tolist())) for x, e in zip(batch.ids, batch.editable, strict=True))
    expected = sum(count * _uncertainty(predictor, process, *row) for row, count in rows.items())
    return z_score(found, expected)


def _uncertainty(
    predictor: Predictor, process: Interpolating, ids: tuple[int, ...], editable: tuple[bool, ...]
) -> float:
    """∫ E Σ_i −ln p(x_i | z_t) dt of one text under the exact posterior, over the scored positions."""
    alone = only(three().numbers(torch.tensor(ids)))

    def at(times: Tensor) -> Tensor:
        found = enumerate_noise(alone, process, times, torch.tensor(editable))
        sites = process.informative(found.noised)
        nats = torch.zeros(sites.shape, dtype=torch.float64)
        nats[sites] = -predictor.predict(found.noised, found.batch, sites).log_prob(found.noised.x0[sites])
        return found.average(nats, len(times))

    return integral(at, nodes=60)


LAWS = (
    Law("estimator/unbiased", estimators, unbiased_error, 4.5),
    Law("objective/llada-is-the-bound", shared_times, llada_error, 1e-12),
    Law("objective/llada-floor", lambda: {"floor=0.05": 0.05, "floor=0.3": 0.3}, floor_error, 4.5),
    Law("objective/clipped", lambda: {"0.3 to 0.8": (0.3, 0.8), "0.1 to 0.6": (0.1, 0.6)}, clipped_error, 4.5),
    Law("objective/cross-entropy", lambda: golden(three()), cross_entropy_error, 4.5),
)
