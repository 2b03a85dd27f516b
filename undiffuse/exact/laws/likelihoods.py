"""Likelihood estimates: unbiased, with standard errors that mean what they say."""

import math
from functools import cache

import torch
from torch import Tensor

from ...likelihood.bound import bound as estimate_bound
from ...likelihood.estimate import student_t
from ...predictor import Predictor
from ...process.destinations.uniform import Uniform
from ...process.interpolating import Interpolating
from ...process.schedules.geometric import Geometric
from ...types import Batch
from ..catalog import golden
from ..denoiser import bayes_predictor
from ..expectation import enumerate_noise, interpolating
from ..law import LAST_DIGIT, Law, in_last_digits
from ..scoring import exact_bound, only, predictors, texts_of, three, z_score


def noisy_start() -> dict[str, Predictor]:
    """Schedules that start with visible noise and end with visible text; the loud one errs most where it starts."""
    schedules = {"geometric .02 to .5": Geometric(0.02, 0.5), "loud, .2 to .5": Geometric(0.2, 0.5)}
    return {
        f"exact network, uniform, {name}": bayes_predictor(
            three(), Interpolating(three().vocabulary, schedule, Uniform())
        )
        for name, schedule in schedules.items()
    }


@cache
def likelihoods() -> dict[str, Predictor]:
    network = "arbitrary network, mask, one-minus-t"
    exact = {f"exact network, {name}": bayes_predictor(three(), process) for name, process in golden(three()).items()}
    return {network: predictors()[network]} | exact | noisy_start()


SEEDS = 16


def exact_terms(predictor: Predictor, text: Batch) -> tuple[float, float]:
    """Prior with diffusion, and reconstruction, by enumeration of the noise."""
    inside = exact_bound(predictor, text) + int(text.editable.sum()) * predictor.process.prior_kl()
    process, start = interpolating(predictor), 0.0
    for ids, editable in zip(text.ids, text.editable, strict=True):
        noise = enumerate_noise(only(three().numbers(ids)), process, torch.zeros(1).double(), editable)
        sites = noise.noised.editable
        nats = torch.zeros(sites.shape, dtype=torch.float64)
        nats[sites] = -predictor.predict(noise.noised, noise.batch, sites).log_prob(noise.noised.x0[sites])
        start += noise.average(nats, 1).item()
    return inside, start


@cache
def _estimates(predictor: Predictor) -> tuple[float, Tensor, Tensor]:
    """The exact value, all terms, and estimates of it with the half-widths of their 95 % intervals, by seed."""
    text = texts_of(three(), 16)
    found = [estimate_bound(predictor, text, draws=16, seed=seed) for seed in range(SEEDS)]
    nats = torch.tensor([estimate.nats for estimate in found], dtype=torch.float64)
    margins = torch.tensor([student_t(len(e.drawn) - 1) * e.stderr for e in found], dtype=torch.float64)
    return sum(exact_terms(predictor, text)), nats, margins


def estimate_error(predictor: Predictor) -> float:
    exact, nats, _ = _estimates(predictor)
    return z_score(nats, exact)


def coverage_error(predictor: Predictor) -> float:
    """How many of 16 intervals miss the exact value; more than 4 of correct ones do so with probability 0.001."""
    exact, nats, margins = _estimates(predictor)
    return float(((nats - exact).abs() > margins).sum())


def standard_error_error(predictor: Predictor) -> float:
    """|ln| of the mean squared standard error over the variance of the estimates that it describes."""
    _, nats, margins = _estimates(predictor)
    stated = (margins / student_t(7)).square().mean()
    return abs(math.log(stated / nats.var()))


def student_error(case: tuple[int, str]) -> float:
    degrees, printed = case
    return in_last_digits(student_t(degrees), printed)


STUDENT = {1: "12.706", 2: "4.303", 7: "2.365", 30: "2.042", 120: "1.980"}


def students() -> dict[str, tuple[int, str]]:
    """Two-sided 95 % quantiles as tables print them."""
    return {f"{degrees} degrees": (degrees, printed) for degrees, printed in STUDENT.items()}


def reconstruction_error(predictor: Predictor) -> float:
    """The reconstruction term is unbiased."""
    text = texts_of(three(), 16)
    found = [estimate_bound(predictor, text, draws=2, seed=seed).reconstruction for seed in range(100)]
    return z_score(torch.tensor(found, dtype=torch.float64), exact_terms(predictor, text)[1])


LAWS = (
    Law("likelihood/unbiased", likelihoods, estimate_error, 4.5),
    Law("likelihood/coverage", likelihoods, coverage_error, 4.0),
    Law("likelihood/standard-error", likelihoods, standard_error_error, 1.0),
    Law("likelihood/student-t", students, student_error, LAST_DIGIT),
    Law("likelihood/reconstruction", noisy_start, reconstruction_error, 4.5),
)
