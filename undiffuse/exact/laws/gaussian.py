"""Gaussian noise on vectors: the bound against the entropy, the output prior against Bayes, samplers against a law."""

from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from ...decode.canvas import start
from ...decode.loop import denoise, finished
from ...decode.strategies.gaussian_ancestral import GaussianAncestral
from ...decode.strategies.probability_flow import ProbabilityFlow
from ...decode.strategies.strategy import Strategy
from ...kinds import GAMMAS
from ...likelihood.bound import bound as estimate_bound
from ...likelihood.estimate import student_t
from ...models.curves import CURVES
from ...objective.objective import Objective
from ...objective.score_interpolation import ScoreInterpolation
from ...objective.variational import Variational
from ...predictor import Predictor
from ...process.gammas.gamma import Gamma
from ...process.gammas.learned import Learned
from ...process.gammas.linear import Linear
from ...process.gammas.square_root import SquareRoot
from ...process.gaussian import Gaussian
from ...process.prediction import Prediction
from ...randomness import Draws
from ...types import HeadKind, State, Tags
from ...vocabulary import Vocabulary
from ..instruments import distinct, gap, number, read, round_trip_error, sums
from ..law import LAST_DIGIT, Law, in_last_digits
from ..scoring import texts_of, z_score
from ..vectors import ExactVectors, Terms, WrongVectors, average, exact_embeddings, exact_vectors, reading, terms
from ..world import World, small_worlds, toy_a, world

FINE, WIDE = Linear(-3.0, 6.0), Linear(-6.0, 10.0)
NOISY = Linear(-1.0, 5.0)  # where reconstruction is no rare event


def pair() -> World:
    """One token of two, at ±1, with probabilities 0.7 and 0.3: H = 0.6108643 nats."""
    return world(2, 1, [7, 3])


def golden() -> dict[str, tuple[Gamma, dict[str, str]]]:
    """Nats of the two-symbol source under the exact posterior mean, by Gauss–Hermite quadrature in another program."""
    parts = {"diffusion": ".6098142", "prior": ".0012378", "reconstruction": ".0000101"}
    return {"γ from -3 to 6": (FINE, parts), "γ from -6 to 10": (WIDE, {"total": ".6108679"})}


def golden_error(case: tuple[Gamma, dict[str, str]]) -> float:
    """In units of the last printed digit."""
    gamma, printed = case
    found = terms(exact_vectors(pair(), gamma), pair(), nodes=400)
    return max(in_last_digits(getattr(found, name), text) for name, text in printed.items())


def curves() -> dict[str, Gamma]:
    """Every curve that needs no network, and second values."""
    fixed = {kind: GAMMAS.build({"kind": kind}) for kind in GAMMAS.kinds if GAMMAS.load(kind) is not Learned}
    return fixed | {"linear -6 to 10": WIDE, "square-root 0.01": SquareRoot(0.01)}


def learned_curves() -> dict[str, Any]:
    """Curves of networks, moved away from where they begin."""
    found: dict[str, Any] = {}
    for kind, cls in CURVES.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            curve = cls().requires_grad_(False)
            for name, parameter in curve.named_parameters():
                if name != "ends":
                    parameter += torch.randn(parameter.shape) / 2
        found[kind] = Learned().bind({"gamma": curve})
    return found | {name: gamma.bind({}) for name, gamma in curves().items()}


def derivative_error(curve: Any) -> float:
    """γ rises, and γ' integrates to its rise: relative to the whole, over 40,000 even pieces of time."""
    t = torch.linspace(0.0, 1.0, 40_001, dtype=torch.float64)
    gamma = curve.at(t)[0]
    falls = (-gamma.diff()).clamp(min=0).max().item()
    middle = (t[1:] + t[:-1]) / 2
    risen = (curve.at(middle)[1] * t.diff()).cumsum(0)
    first = 4_000  # a square root begins steeply
    off = (risen[first:] - risen[first] - (gamma[1 + first :] - gamma[1 + first])).abs().max() / (gamma[-1] - gamma[0])
    return max(falls, off.item())


def prior_of_output_error(name: str) -> float:
    """Leave-one-out logits plus the evidence are Bayes' posterior, and back, for correlated texts and unit vectors."""
    small = small_worlds()[name]
    draws = Draws.seeded(4)
    ids = small.rows[small.texts]
    t = draws.stream("t").at(torch.arange(len(ids)))[:, None].at(torch.arange(small.length)).uniform()
    found: dict[HeadKind, Prediction] = {}
    heads: tuple[HeadKind, ...] = ("leave_one_out", "posterior")
    for head in heads:
        predictor = exact_vectors(small, WIDE, head)
        assert isinstance(predictor.process, Gaussian)
        everywhere = torch.ones_like(ids, dtype=torch.bool)
        keys = draws.at(torch.arange(len(ids)))[:, None].at(torch.arange(small.length))
        noised = predictor.process.corrupt(ids, t, keys, everywhere)
        tags = Tags(torch.arange(small.length).expand_as(ids))
        hidden = predictor.run(predictor.rows(noised.state, noised.t, tags, everywhere))
        found[head] = predictor.read(hidden, noised.state, noised.t)
    there = found["leave_one_out"].posterior() - found["posterior"].posterior()
    back = found["leave_one_out"].leave_one_out() - found["posterior"].leave_one_out()
    rows = small.rows[:-1]
    return max(gap(there[..., rows].exp(), 1), gap(back[..., rows]))


def round_trips() -> dict[str, tuple[int, float]]:
    return {f"K={k} t={t}": (k, t) for k in (27, 50257) for t in (0.01, 0.5, 0.99)}


def float32_error(case: tuple[int, float]) -> float:
    """Leave-one-out → posterior → leave-one-out in float32, nats; the evidence is up to e⁶ and is taken away."""
    size, t = case
    draws = Draws.seeded(1)
    vectors = torch.special.ndtri(draws.stream("vectors").at(torch.arange(size)).along(16).uniform()).float()
    process = Gaussian(Vocabulary(rows=size), WIDE).bind({"vectors": vectors})
    ids, times = torch.arange(4), torch.full((4,), t, dtype=torch.float64)
    noised = process.corrupt(ids, times, draws.at(ids), torch.ones(4, dtype=torch.bool))
    logits = (2 * torch.special.ndtri(draws.at(ids).along(size).uniform())).float()
    return round_trip_error(read(process, logits, noised.state, noised.t))


def tight_cases() -> dict[str, tuple[World, Gamma]]:
    return {"toy A, γ from -6 to 10": (toy_a(), WIDE), "pair, square-root": (pair(), SquareRoot(1e-5))}


def tightness_error(case: tuple[World, Gamma]) -> float:
    """The bound of the exact network above the entropy: what the noise at both ends of time hides."""
    small, gamma = case
    predictor = exact_vectors(small, gamma)
    excess = _terms(predictor, small).total - small.entropy
    return max(excess, -1e3 * excess)


def wrong() -> dict[str, int]:
    return {f"wrong network {seed}": seed for seed in range(6)}


def inequality_error(seed: int) -> float:
    """How far the bound of a wrong network lies below the entropy."""
    small = toy_a()
    predictor = Predictor(WrongVectors(small, seed), Gaussian(small.vocabulary, FINE), "leave_one_out")
    return max(0.0, small.entropy - _terms(predictor, small).total)


def wrong_head_error(gamma: Gamma) -> float:
    """A posterior that passes as leave-one-out counts the evidence twice, which the bound shows by 0.01 nats."""
    small = toy_a()
    mislabeled = Predictor(ExactVectors(small, "posterior"), Gaussian(small.vocabulary, gamma), "leave_one_out")
    return max(0.0, 0.01 + small.entropy - _terms(mislabeled, small).total)


@cache
def _terms(predictor: Predictor, small: World) -> Terms:
    return terms(predictor, small, nodes=400 if small.length == 1 else 64, times=60 if small.length == 1 else 24)


def kernel_error(gamma: Gamma) -> float:
    """Mean and variance of p(z_s | z_t, x) by Bayes' rule on q(z_s | x) and q(z_t | z_s), in precisions."""
    process = exact_vectors(pair(), gamma).process
    assert isinstance(process, Gaussian)
    t = torch.linspace(0.1, 1.0, 10, dtype=torch.float64)[:, None]
    s = t * torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
    x, z = torch.tensor([-1.0], dtype=torch.float64), torch.tensor([0.4], dtype=torch.float64)
    (a_t, v_t), (a_s, v_s) = ((process.at(u).alpha, process.at(u).sigma.square()) for u in (t, s))
    kept = a_t / a_s
    added = v_t - kept.square() * v_s
    precision = 1 / v_s + kept.square() / added
    mean = (a_s * x / v_s + kept * z / added) / precision
    found, std = process.kernel(x.expand(*s.shape, 1), z.expand(*s.shape, 1), t.expand(s.shape), s)
    return max(gap(found[..., 0], mean), gap(std.square() * precision, 1))


def temperature_error(gamma: Gamma) -> float:
    """A kernel's mean with ε̂/τ is (α_s/α_t)(z − c σ_t ε̂/τ), VDM's form of it; and τ = 1 changes nothing."""
    process = exact_vectors(pair(), gamma).process
    assert isinstance(process, Gaussian)
    t = torch.linspace(0.1, 1.0, 10, dtype=torch.float64)[:, None]
    s = t * torch.linspace(0.05, 0.95, 7, dtype=torch.float64)
    t = t.expand(s.shape)
    x, z = (torch.full((*s.shape, 1), value, dtype=torch.float64) for value in (-0.7, 0.4))
    at_t, at_s = process.at(t), process.at(s)
    noise = (z - at_t.alpha[..., None] * x) / at_t.sigma[..., None]
    c = -torch.expm1(at_s.gamma - at_t.gamma)
    worst = 0.0
    for temperature in (1.0, 0.9, 2.0):
        found = process.kernel(process.tempered(x, z, t, temperature), z, t, s)[0]
        expected = (at_s.alpha / at_t.alpha)[..., None] * (z - (c * at_t.sigma)[..., None] * noise / temperature)
        worst = max(worst, gap(found, expected))
    return worst


LONG = Linear(-4.0, 14.0)


def chain_errors(kind: str) -> float:
    """Distance of the last tokens' law from the pair's, at 16 and 64 steps: a quarter; and small at the end.

    The density of the latent is carried on a fine grid; of the flow, quantiles are.
    """
    few, many = (_chain(kind, steps) for steps in (16, 64))
    return max(abs(many / few - 0.25), many)


def _chain(kind: str, steps: int) -> float:
    predictor = exact_vectors(pair(), LONG)
    process = predictor.process
    assert isinstance(process, Gaussian)
    times = torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float64)
    z = torch.linspace(-5.0, 5.0, 401, dtype=torch.float64)
    mass = (-z.square() / 2).exp()
    if kind == "probability-flow":
        z = torch.special.ndtri((torch.arange(4_000, dtype=torch.float64) + 0.5) / 4_000)
        mass = torch.ones_like(z)
    mass = mass / mass.sum()
    for t, s in pairwise(times[:-1]):
        here, there = t.expand(z.shape), s.expand(z.shape)
        estimate = process.estimate(_seen(predictor, z, t))
        if kind == "probability-flow":
            z = process.flow(estimate, z[:, None], here, there)[:, 0]
            continue
        mean, std = process.kernel(estimate, z[:, None], here, there)
        rows = (-(z[None] - mean).square() / (2 * std[:, None].square())).exp()
        mass = mass @ (rows / rows.sum(-1, keepdim=True))
    last = _seen(predictor, z, times[-2]).posterior().exp()
    return abs((mass[:, None] * last).sum(0)[pair().rows[0]].item() - 0.7)


def _seen(predictor: Predictor, z: Tensor, t: Tensor) -> Prediction:
    ids = torch.ones(len(z), 1, dtype=torch.long)
    state, times = State(ids, z[:, None, None]), t.expand(ids.shape)
    every = torch.ones_like(ids, dtype=torch.bool)
    hidden = predictor.run(predictor.rows(state, times, Tags(torch.zeros_like(ids)), every))
    return predictor.read(hidden[:, 0], state[:, 0], times[:, 0])


STRATEGIES: dict[str, Strategy] = {
    "gaussian-ancestral": GaussianAncestral(),
    "probability-flow": ProbabilityFlow(),
}


def decoded_error(strategy: Strategy) -> float:
    """Total variation between toy A and the texts of the decoding loop, 24 steps.

    5,000 texts of four kinds are 0.010 away from their own law on average, and 0.03 hardly ever.
    """
    return off_the_law(strategy, exact_vectors(toy_a(), WIDE), torch.ones(2, dtype=torch.bool), toy_a().law)


def filled_error(strategy: Strategy) -> float:
    """The same with the first token fixed as 1: P(x_2 | x_1 = 1) = (.4, .6)."""
    law = torch.tensor([0.0, 0.0, 0.4, 0.6], dtype=torch.float64)
    return off_the_law(strategy, exact_vectors(toy_a(), WIDE), torch.tensor([False, True]), law)


def off_the_law(
    strategy: Strategy, predictor: Predictor, pending: Tensor, law: Tensor, requests: int = 5_000, steps: int = 24
) -> float:
    """Total variation between a law and the texts of toy A that the loop writes from 1, 0."""
    one = start(toy_a().rows[torch.tensor([1, 0])], pending, key=0, steps=steps)
    many = one.select(torch.zeros(requests, dtype=torch.long))
    many = many.replace(key=Draws.seeded(8).at(torch.arange(requests)).key)
    done = finished(denoise(predictor, many, strategy))
    found = torch.bincount(number(toy_a(), done.ids), minlength=4).double() / requests
    return ((found - law).abs().sum() / 2).item()


@dataclass(frozen=True)
class Scored:
    """A network, the batch's exact terms, and the objective that is estimated from it."""

    predictor: Predictor
    exact: Terms
    objective: Objective


@cache
def scored() -> dict[str, Scored]:
    """Also with half of the evidence, as in a ramp: another network, of which the loss is the bound too."""
    small = toy_a()
    wrong_one = Predictor(WrongVectors(small, 2), Gaussian(small.vocabulary, NOISY), "leave_one_out")
    half = replace(wrong_one, process=Gaussian(small.vocabulary, NOISY).with_evidence(0.5))
    found = {}
    for name, predictor, objective in (
        ("exact network", exact_vectors(small, NOISY), Variational(reconstruction=0.3)),
        ("wrong network", wrong_one, Variational(reconstruction=0.3)),
        ("half of the evidence", half, Variational(reconstruction=0.3, ramp=0.6).at(0.3)),
        ("embeddings", exact_embeddings(small, NOISY), Variational()),
    ):
        parts = []
        for count, alone, editable in distinct(small, texts_of(small)):
            each = terms(predictor, alone, nodes=64, times=24, editable=editable)
            parts.append([count * value for value in (each.diffusion, each.prior, each.reconstruction)])
        exact = Terms(*torch.tensor(parts, dtype=torch.float64).sum(0).tolist())
        found[name] = Scored(predictor, exact, objective)
    return found


def trained() -> dict[str, Scored]:
    """Those that the variational objective is for."""
    return {name: case for name, case in scored().items() if case.predictor.head == "leave_one_out"}


def loss_error(case: Scored) -> float:
    """The mean of the loss is the bound, whatever share of rows reconstructs; standard errors."""
    return z_score(sums(case.objective.loss, case.predictor, texts_of(toy_a()), seed=3, count=60), case.exact.total)


def likelihood_error(case: Scored) -> float:
    """So is the mean of the estimated likelihood, and its 95 % intervals cover it: 4.5 standard errors, 4 of 16."""
    text = texts_of(toy_a())
    found = [estimate_bound(case.predictor, text, draws=16, seed=seed) for seed in range(16)]
    diffusion = torch.tensor([e.nats - e.prior - e.reconstruction for e in found], dtype=torch.float64)
    reading = torch.tensor([e.reconstruction for e in found], dtype=torch.float64)
    missed = sum(abs(e.nats - case.exact.total) > student_t(7) * e.stderr for e in found)
    prior = abs(found[0].prior - case.exact.prior)
    return max(
        z_score(diffusion, case.exact.diffusion),
        z_score(reading, case.exact.reconstruction),
        missed * 4.5 / 4,
        prior * 1e9,
    )


def interpolation_error(head: HeadKind) -> float:
    """The mean of CDCD's loss is the cross-entropy of the posterior, averaged along the warped time."""
    small, curve = toy_a(), learned_curves()["warp"]
    process = Gaussian(small.vocabulary).along(curve)
    predictor = Predictor(ExactVectors(small, head), process, head)
    batch = texts_of(small)
    found = sums(ScoreInterpolation().loss, predictor, batch, seed=3, count=60)
    t = (torch.arange(100, dtype=torch.float64) + 0.5) / 100
    expected = 0.0
    for count, alone, editable in distinct(small, batch):
        expected += count * average(predictor, alone, t, reading, 48, editable).mean().item()
    return z_score(found, expected)


LAWS = (
    Law("gaussian/golden", golden, golden_error, LAST_DIGIT),
    Law("gaussian/curve", learned_curves, derivative_error, 2e-4),
    Law("gaussian/output-prior", lambda: {name: name for name in small_worlds()}, prior_of_output_error, 1e-11),
    Law("gaussian/round-trip-float32", round_trips, float32_error, 2e-4),
    Law("gaussian/tight", tight_cases, tightness_error, 1e-3),
    Law("gaussian/inequality", wrong, inequality_error, 0.0),
    Law("gaussian/mislabelled", lambda: {"toy A": FINE}, wrong_head_error, 0.0),
    Law("gaussian/kernel", curves, kernel_error, 1e-9),
    Law("gaussian/score-temperature", curves, temperature_error, 1e-9),
    Law("gaussian/sampler", lambda: {kind: kind for kind in STRATEGIES}, chain_errors, 0.05),
    Law("gaussian/decoded", lambda: STRATEGIES, decoded_error, 0.03),
    Law("gaussian/filled", lambda: STRATEGIES, filled_error, 0.03),
    Law("gaussian/loss", trained, loss_error, 4.5),
    Law("gaussian/score-interpolation", lambda: {"exact posterior": "posterior"}, interpolation_error, 4.5),
    Law("gaussian/likelihood", scored, likelihood_error, 4.5),
)
