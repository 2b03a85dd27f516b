"""Ratios of probabilities: what they are, what they cost, and the two reverse steps that need nothing else."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...decode.proposal import Filters
from ...decode.strategies.euler import Euler
from ...decode.strategies.strategy import Strategy
from ...decode.strategies.tweedie import Tweedie
from ...models.base import Denoiser
from ...models.kept import Seen
from ...models.traits import Traits
from ...objective.concrete_score import squares
from ...objective.score_entropy import ScoreEntropy
from ...predictor import Predictor
from ...process.destinations.mask import Mask
from ...process.destinations.uniform import Uniform
from ...process.interpolating import Interpolating
from ...process.prediction import Prediction
from ...process.schedules.cos import Cos
from ...process.schedules.geometric import Geometric
from ...process.schedules.one_minus_t import OneMinusT
from ...process.scores import Move, analytic, leap, log_scores, score_entropy
from ...randomness import Draws
from ...types import Rows, State
from ..catalog import golden, processes
from ..denoiser import ArbitraryDenoiser, BayesDenoiser, bayes_predictor
from ..expectation import diffusion, enumerate_noise, integral, interpolating, total
from ..instruments import canvas, exponential, finish, gap, log_rows, read, text_surprise
from ..law import LAST_DIGIT, ROUNDING, Law, in_last_digits
from ..noise import Noise
from ..reverse import chain_law, distance, log_predictions, sampler_law
from ..scoring import exact_bound, texts_of, three, z_score
from ..slack import slack
from ..world import World, small_worlds, toy_a
from .bounds import Case
from .forms import Points, letters
from .forms import every_process as every_point
from .marginals import letters as three_letters
from .objectives import losses
from .samplers import STEPS, golden_grid
from .steps import PAIRS, kernel, posterior, predictions

TIMES = torch.tensor([0.05, 0.4, 0.9], dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class ScoreDenoiser(Denoiser):
    """The ratios of a network that predicts, as the output of a score head."""

    process: Interpolating
    inner: BayesDenoiser | ArbitraryDenoiser

    @property
    def traits(self) -> Traits:
        return replace(self.inner.traits, takes=frozenset({"level"}))

    def trunk(self, rows: Rows, kv: Seen | None = None) -> Float[Tensor, "B L D"]:
        assert rows.level is not None
        logits, small = self.inner.trunk(rows), self.inner.world
        t = self.process.schedule.inverse(1 - rows.level)
        x = logits[..., small.rows[:-1]].softmax(-1)
        ratios = torch.full_like(logits, 5.0)
        ratios[..., small.rows[:-1]] = given(self.process, x, small.numbers(rows.state.ids), t)
        return ratios

    def head(self, hidden: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead V"]:
        return hidden


def given(process: Interpolating, x: Tensor, z: Tensor, t: Tensor) -> Tensor:
    """What a score head gives over the tokens for the prediction x: ln K x under masked noise, else ln q_θ/q_θ(z)."""
    noise = Noise(process)
    if not process.destination.uniform:
        return (noise.tokens * x).log()
    q = (x[..., None] * noise.marginal(t)).sum(-2)
    return (q / q.gather(-1, z[..., None])).log()


def scored(small: World, process: Interpolating, inner: BayesDenoiser | ArbitraryDenoiser | None = None) -> Predictor:
    """The exact score of a world, or that of another network's predictions, through a score head."""
    exact = BayesDenoiser(small, Noise(process), "leave_one_out")
    return Predictor(ScoreDenoiser(process, inner or exact), process, "score")


def one_kind(small: World) -> dict[str, Interpolating]:
    """Noise that free scores can be given under, with α(1) > 0 where it is uniform."""
    vocabulary = small.vocabulary
    return {
        "mask, one-minus-t": Interpolating(vocabulary, OneMinusT(), Mask()),
        "mask, cos": Interpolating(vocabulary, Cos(), Mask()),
        "uniform, geometric": Interpolating(vocabulary, Geometric(), Uniform()),
    }


# What a score is


def ratio_error(case: Case) -> float:
    """ln s_θ of the exact prediction is ln p_t(z with z_i ← v)/p_t(z), summed over all texts."""
    small, process = case.world, case.process
    noise = Noise(process)
    states = small.states(noise.states)
    worst = 0.0
    for t in TIMES:
        law = small.law @ noise.of_texts(small.texts, states, t.expand(1, small.length))[0]
        ids = small.rows[states]
        times = t.expand(ids.shape)
        log_x = log_predictions(bayes_predictor(small, process), small, states, t[None])[0]
        prediction = read(process, log_x, State(ids), times)
        found = log_scores(process.law, prediction, State(ids), times)[..., small.rows[: noise.states]].exp()
        place = noise.states ** torch.arange(small.length - 1, -1, -1)
        for i in range(small.length):
            for v in range(noise.states):
                other = ((states * place).sum(-1) + (v - states[:, i]) * place[i]).long()
                possible = law > 0
                worst = max(worst, gap((found[:, i, v] * law)[possible], law[other][possible]))
    return worst


def every_pair() -> dict[str, Case]:
    small = small_worlds()["K=3 L=2"]
    return {name: Case(small, process) for name, process in processes(small).items()}


def exponential_error(process: Interpolating) -> float:
    """The marginal is the matrix exponential of σQ, σ = −ln α."""
    noise = Noise(process)
    q = -torch.eye(noise.states, dtype=torch.float64)
    if process.destination.uniform:
        q += 1 / noise.tokens
    else:
        q[:, -1] += 1.0
    worst = 0.0
    for t in TIMES:
        at = process.law.marginal(t)
        exact = exponential(-at.alpha.log() * q)[: noise.tokens]
        found = at.real + at.alpha * torch.eye(noise.tokens, noise.states, dtype=torch.float64)
        if noise.states > noise.tokens:
            found[:, -1] = at.mask
        worst = max(worst, gap(found, exact))
    return worst


def simple() -> dict[str, Interpolating]:
    """Every process whose forward rates are σ'(t)·Q with a constant Q."""
    return {name: process for name, process in processes(letters()).items() if _is_simple(process)}


def _is_simple(process: Interpolating) -> bool:
    return isinstance(process.destination, Mask | Uniform)


# What it costs


def prediction_error(points: Points) -> float:
    """With the ratios of a prediction, score entropy is the integrand of the bound, per (x, z)."""
    return points.relative_gap(score_entropy(points.process.law, points.prediction, points.noised))


def free_error(points: Points) -> float:
    """Of any ratios it is Σ_{v≠z} R(v → z) [s − r + r ln(r/s)], with the rates and ratios of the tables."""
    x, z, t = points.axes
    noise, n = Noise(points.process), torch.arange(len(x))
    log_s, prediction = free(points.process, x, z, t)
    q = noise.marginal(t)[n, x]
    r = q / q[n, z, None]
    term = log_s.exp() - r + torch.where(r > 0, r * (r.log() - log_s), 0.0)
    term[n, z] = 0.0
    later = t.clone().requires_grad_()
    step = noise.transition(t, later)
    into = torch.stack(
        [torch.autograd.grad(step[:, v - 1, v].sum(), later, retain_graph=True)[0] for v in range(noise.states)], -1
    )
    expected = into[n, z] * term.sum(-1)
    found = points.process.bound(prediction, points.noised)
    return ((found - expected).abs() / (1 + expected.abs())).max().item()


def free(process: Interpolating, x: Tensor, z: Tensor, t: Tensor) -> tuple[Tensor, Prediction]:
    """Random ratios over the states, ln s with 0 at z, and the prediction of a score head that gives them."""
    noise, rows = Noise(process), letters().rows
    log_s = torch.special.ndtri(Draws.seeded(6).at(torch.arange(len(x))).along(noise.states).uniform())
    log_s[torch.arange(len(x)), z] = 0.0
    logits = torch.full((len(x), letters().vocabulary.rows), -torch.inf, dtype=torch.float64)
    at = process.law.marginal(t)
    scale = 0.0 if process.destination.uniform else (at.alpha / at.mask).log()[:, None] - math.log(noise.tokens)
    logits[:, rows[: noise.tokens]] = (log_s - scale)[:, : noise.tokens]
    return log_s, read(process, logits, State(rows[z]), t, "score")


def simple_points() -> dict[str, Points]:
    return {name: points for name, points in every_point().items() if _is_simple(points.process)}


def tightness_error(case: Case) -> float:
    """The exact score through a score head: prior + integral + reconstruction is the entropy, but for the ends."""
    found = total(scored(case.world, case.process), case.world, nodes=120)
    return abs(found - case.world.entropy - slack(case.world, case.process))


def inequality_error(case: Case) -> float:
    """The worst shortfall below the entropy among 8 networks whose ratios belong to no prediction."""
    worst = 0.0
    for seed in range(8):
        network = Predictor(ArbitraryDenoiser(case.world, seed, scale=1.0), case.process, "score")
        inside = integral(lambda t, network=network: diffusion(network, case.world, t), 1e-4, nodes=30)  # type: ignore[misc]
        worst = max(worst, case.world.entropy - inside)
    return worst


def scored_pairs() -> dict[str, Case]:
    small = small_worlds()["K=2 L=3"]
    return {name: Case(small, process) for name, process in one_kind(small).items()}


# Steps


def rows_of(move: Move, z: Int[Tensor, "*lead"], noise: Noise, small: World) -> Float[Tensor, "*lead N"]:
    """p(z_s | z_t) over the states, from a move."""
    stays = torch.nn.functional.one_hot(z, noise.states).double()
    target = move.target.softmax(-1)[..., small.rows[: noise.states]]
    mass = move.stay + move.leave
    return (move.stay[..., None] * stays + move.leave[..., None] * target) / mass[..., None]


def _moves(process: Interpolating, step: Callable[..., Move], kind: str, s: float, t: float) -> Tensor:
    """Rows for every state and each of the predictions of `steps`, (Z, n, N), from a prediction or from its ratios."""
    small, noise = three_letters(), Noise(process)
    z = torch.arange(noise.states)[:, None].expand(-1, len(predictions()))
    state, time = State(small.rows[z]), torch.tensor(t, dtype=torch.float64)
    prediction = _of_predictions(process, kind, z, time)
    return rows_of(step(process.law, prediction, state, time, torch.tensor(s, dtype=torch.float64)), z, noise, small)


def _of_predictions(process: Interpolating, kind: str, z: Tensor, time: Tensor) -> Prediction:
    """The predictions of `steps` as heads of that kind give them, for every state."""
    small, every = three_letters(), predictions().expand(len(z), -1, -1)
    logits = log_rows(small, every)
    if kind == "score":
        logits[..., small.rows[:-1]] = given(process, every, z, time.expand(z.shape))
    return read(process, logits, State(small.rows[z]), time, kind)


def steppable() -> dict[str, tuple[Interpolating, str]]:
    found = {name: p for name, p in processes(three_letters()).items() if _is_simple(p)}
    return {f"{name}, {kind}": (p, kind) for name, p in found.items() for kind in ("score", "leave_one_out")}


def analytic_error(case: tuple[Interpolating, str]) -> float:
    """From the ratios of a prediction, Tweedie's step is the exact kernel, also the one to t = 0."""
    process, kind = case
    worst = 0.0
    for s, t in (*PAIRS, (0.0, 0.6)):
        expected = kernel(process, predictions(), s, t)
        worst = max(worst, gap(_moves(process, analytic, kind, s, t), expected))
    return worst


def clamped_error(process: Interpolating) -> float:
    """Of free ratios: back through the inverse of the transition's table, forward by the table, negatives as zero."""
    worst = 0.0
    for s, t in PAIRS:
        noise, n = Noise(process), 40
        z = torch.arange(n) % noise.states
        times = torch.full((n,), t, dtype=torch.float64)
        log_s, prediction = free(process, z, z, times)
        if not process.destination.uniform:
            z = torch.full_like(z, noise.tokens)
            log_s, prediction = free(process, z, z, times)
        step = noise.transition(torch.tensor(s, dtype=torch.float64), times[0])
        table = (log_s.exp() @ torch.linalg.inv(step) * step.T[z]).clamp(min=0.0)
        early = torch.full((n,), s, dtype=torch.float64)
        found = rows_of(analytic(process.law, prediction, State(letters().rows[z]), times, early), z, noise, letters())
        worst = max(worst, gap(found, table / table.sum(-1, keepdim=True)))
    return worst


def posterior_error(process: Interpolating) -> float:
    """The posterior of a score that belongs to a prediction is the prediction's."""
    noise, small = Noise(process), three_letters()
    z = torch.arange(noise.states)[:, None].expand(-1, len(predictions()))
    prediction = _of_predictions(process, "score", z, torch.tensor(0.6, dtype=torch.float64))
    return gap(prediction.posterior().exp()[..., small.rows[:-1]], posterior(noise, predictions(), 0.6))


def leap_rows(predictor: Predictor, small: World, t: Tensor, s: Tensor) -> Float[Tensor, "T Z L N"]:
    """Rows of the Euler steps; those to t = 0 are the posterior's."""
    process = interpolating(predictor)
    noise = Noise(process)
    states = small.states(noise.states)
    log_x = log_predictions(predictor, small, states, t)
    found = []
    for k in range(len(t)):
        ids, time, to = State(small.rows[states]), t[k].expand(states.shape), s[k].expand(states.shape)
        prediction = read(process, log_x[k], ids, time)
        move = leap(process.law, prediction, ids, time, to)
        if s[k] == 0:
            move = Move(torch.zeros_like(move.stay), torch.ones_like(move.leave), prediction.posterior())
        found.append(rows_of(move, states, noise, small))
    return torch.stack(found)


# Total variation on toy A, uniform noise, after T Euler steps from 1 to 1e-4 and a draw from the posterior
EULER = ("0.0805", "0.0173", "0.0042", "0.0010", "0.0003")


def golden_error(process: Interpolating) -> float:
    """In units of the last printed digit."""
    small, worst = toy_a(), 0.0
    predictor = bayes_predictor(small, process)
    for steps, printed in zip(STEPS, EULER, strict=True):
        grid = golden_grid(steps)
        law = chain_law(process, small, leap_rows(predictor, small, grid[:-1], grid[1:]))
        worst = max(worst, in_last_digits(distance(law, small.law), printed))
    return worst


@dataclass(frozen=True)
class Chain:
    """A strategy on a network."""

    strategy: Strategy
    predictor: Predictor
    world: World


def chains(strategy: Strategy) -> dict[str, Chain]:
    small, name = small_worlds()["K=2 L=3"], type(strategy).__name__.lower()
    found = {
        f"{name}, {p}": Chain(strategy, bayes_predictor(small, process), small) for p, process in golden(small).items()
    }
    return found | {
        f"{name}, score, {p}": Chain(strategy, scored(small, process), small) for p, process in one_kind(small).items()
    }


def tweedie_error(case: Chain) -> float:
    """Four steps through the loop against the enumerated law of the reverse kernel."""
    process = interpolating(case.predictor)
    grid = torch.linspace(1.0, 0.0, 5, dtype=torch.float64)
    return _surprise(case, sampler_law(bayes_predictor(case.world, process), case.world, grid))


def euler_error(case: Chain) -> float:
    """Three jumps and a draw through the loop against the enumerated law of the same."""
    process = interpolating(case.predictor)
    grid = torch.linspace(1.0, 0.0, 5, dtype=torch.float64)
    rows = leap_rows(bayes_predictor(case.world, process), case.world, grid[:-1], grid[1:])
    return _surprise(case, chain_law(process, case.world, rows))


def _surprise(case: Chain, law: Tensor) -> float:
    end = finish(case.predictor, canvas(case.world, 16_000, steps=4), case.strategy)
    return text_surprise(case.world, end, law.clamp(min=0.0))


# Objectives


def unbiased_error(process: Interpolating) -> float:
    predictor = scored(three(), process, ArbitraryDenoiser(three(), seed=5))
    return z_score(losses(ScoreEntropy().loss, predictor), exact_bound(predictor, texts_of(three())))


def pythagoras_error(case: Case) -> float:
    """Squares of any ratios exceed those of the true ones by the weighted squares of what lies between."""
    small, process = case.world, case.process
    found = enumerate_noise(small, process, TIMES)
    sites = process.informative(found.noised)
    right, wrong = scored(small, process), scored(small, process, ArbitraryDenoiser(small, seed=3, scale=1.0))
    at = found.noised[sites]
    exact, other = (p.predict(found.noised, found.batch, sites) for p in (right, wrong))
    missed = log_scores(process.law, other, at.state, at.t).exp() - log_scores(process.law, exact, at.state, at.t).exp()
    marginal, noise = process.law.marginal(at.t), Noise(process)
    slope = -process.schedule.derivative(at.t) / marginal.alpha
    rate, base = (slope, marginal.mask) if not process.destination.uniform else (slope / noise.tokens, marginal.real)
    own = rate * base / (marginal.alpha + marginal.real)
    weight = found.probability[:, None].expand(sites.shape)[sites]
    excess = squares(process.law, other, at) - squares(process.law, exact, at)
    real = missed[..., small.rows[:-1]].square().sum(-1)
    return abs((weight * excess).sum() - (weight * own * real).sum()).item() / (weight * own * real).sum().item()


LAWS = (
    # exact networks read t back from 1 − α ≥ 1.8e-4 at t = 0.05, which is told to u and taken from 1 to u
    Law("score/ratios", every_pair, ratio_error, 2 * ROUNDING / 1.8e-4),
    Law("score/matrix-exponential", simple, exponential_error, 1e-12),
    Law("score/entropy-of-prediction", every_point, prediction_error, 1e-11),
    Law("score/entropy-of-free-ratios", simple_points, free_error, 1e-11),
    Law("score/tight", scored_pairs, tightness_error, 5e-8),
    Law("score/inequality", scored_pairs, inequality_error, 0.0),
    # noise from 0.3 to 0.95 keeps ρ = 1.9e-5: 1/ρ is the condition of its inverse, and 16 u/ρ is 1e-10
    Law("score/tweedie-is-the-kernel", steppable, analytic_error, 1e-10),
    Law("score/tweedie-of-free-ratios", simple, clamped_error, 1e-10),
    Law("score/posterior", lambda: {n: p for n, (p, k) in steppable().items() if k == "score"}, posterior_error, 1e-11),
    Law("score/euler-golden", lambda: {"uniform": golden(toy_a())["uniform"]}, golden_error, LAST_DIGIT),
    Law("decode/tweedie", lambda: chains(Tweedie(Filters(temperature=1.0))), tweedie_error, 6.0),
    Law("decode/euler", lambda: chains(Euler(Filters(temperature=1.0))), euler_error, 6.0),
    Law("objective/score-entropy", lambda: one_kind(three()), unbiased_error, 4.5),
    Law("objective/concrete-score", scored_pairs, pythagoras_error, 1e-12),
)
