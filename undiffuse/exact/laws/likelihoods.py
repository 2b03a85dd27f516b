"""Likelihood estimates: unbiased, with standard errors that mean what they say."""

import math
from functools import cache

import torch
from torch import Tensor

from ...likelihood.bound import bound as estimate_bound
from ...likelihood.estimate import Estimate, student_t
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


def exact_reconstruction(predictor: Predictor, text: Batch) -> float:
    """By enumeration of the noise at t = 0."""
    process, found = interpolating(predictor), 0.0
    for ids, editable in zip(text.ids, text.editable, strict=True):
        noise = enumerate_noise(only(three().numbers(ids)), process, torch.zeros(1).double(), editable)
        sites = noise.noised.editable
        nats = torch.zeros(sites.shape, dtype=torch.float64)
        nats[sites] = -predictor.predict(noise.noised, noise.batch, sites).log_prob(noise.noised.x0[sites])
        found += noise.average(nats, 1).item()
    return found


@cache
def _estimates(predictor: Predictor) -> tuple[float, list[Estimate]]:
    """The exact value, all terms, and estimates of it, by seed."""
    text = texts_of(three(), 16)
    found = [estimate_bound(predictor, text, draws=16, seed=seed) for seed in range(SEEDS)]
    prior = int(text.editable.sum()) * predictor.process.prior_kl()
    return prior + exact_bound(predictor, text) + exact_reconstruction(predictor, text), found


def _nats(found: list[Estimate]) -> Tensor:
    return torch.tensor([estimate.nats for estimate in found], dtype=torch.float64)


def estimate_error(predictor: Predictor) -> float:
    exact, found = _estimates(predictor)
    return z_score(_nats(found), exact)


def coverage_error(predictor: Predictor) -> float:
    """How many of 16 intervals miss the exact value; more than 4 of correct ones do so with probability 0.001."""
    exact, found = _estimates(predictor)
    return float(sum(not low <= exact <= high for low, high in (estimate.interval for estimate in found)))


def standard_error_error(predictor: Predictor) -> float:
    """|ln| of the mean squared standard error over the variance of the estimates that it describes."""
    _, found = _estimates(predictor)
    stated = sum(estimate.stderr**2 for estimate in found) / len(found)
    return abs(math.log(stated / _nats(found).var()))


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
    found = [estimate_bound(predictor, text, draws=32, seed=seed) for seed in range(2)]
    ends = torch.cat([estimate.ends.sum(-1) for estimate in found])
    return z_score(ends, exact_reconstruction(predictor, text))


LAWS = (
    Law("likelihood/unbiased", likelihoods, estimate_error, 4.5),
    Law("likelihood/coverage", likelihoods, coverage_error, 4.0),
    Law("likelihood/standard-error", likelihoods, standard_error_error, 1.0),
    Law("likelihood/student-t", students, student_error, LAST_DIGIT),
    Law("likelihood/reconstruction", noisy_start, reconstruction_error, 4.5),
)
