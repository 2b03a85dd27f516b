"""Discrete time: the bound of T steps is the path KL of the chain itself, and falls to the continuous bound."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ...likelihood.bound import bound as estimate_bound
from ...likelihood.estimate import student_t
from ...objective.discrete_time import DiscreteTime
from ...predictor import Predictor
from ...process.destinations.uniform import Uniform
from ...process.discrete import Discrete
from ...process.process import Process
from ...process.schedules.geometric import Geometric
from ..catalog import golden, processes
from ..denoiser import ArbitraryDenoiser, bayes_predictor
from ..expectation import diffusion, enumerate_noise, reconstruction
from ..instruments import sums
from ..law import LAST_DIGIT, Law, in_last_digits
from ..noise import Noise
from ..reverse import bridge, step_rows
from ..scoring import only, texts_of, three, z_score
from ..world import World, small_worlds, toy_a
from .samplers import DISCRETE, prior_cost


@dataclass(frozen=True)
class Stepped:
    """A world and a network for noise in steps."""

    world: World
    predictor: Predictor

    @property
    def process(self) -> Discrete:
        assert isinstance(self.predictor.process, Discrete)
        return self.predictor.process


def in_steps(world: World, steps: int) -> dict[str, Discrete]:
    """Every process that exists in continuous time, in steps."""
    return {
        name: Discrete(world.vocabulary, process.schedule, process.destination, steps)
        for name, process in processes(world).items()
    }


def every_network() -> dict[str, Stepped]:
    """The optimum of every process, and a network that is wrong."""
    small, found = small_worlds()["K=3 L=2"], {}
    for steps in (1, 2, 5):
        for name, process in in_steps(small, steps).items():
            found[f"{name}, T={steps}"] = Stepped(small, bayes_predictor(small, process))
            wrong = Predictor(ArbitraryDenoiser(small, seed=5), process, "leave_one_out")
            found[f"arbitrary network, {name}, T={steps}"] = Stepped(small, wrong)
    return found


def times(process: Process) -> Tensor:
    """1/T … 1."""
    assert process.steps is not None
    return torch.arange(1, process.steps + 1, dtype=torch.float64) / process.steps


def bound(case: Stepped) -> float:
    """The bound of the code under test, averaged over its steps: prior and diffusion, nats per text."""
    inside = diffusion(case.predictor, case.world, times(case.process)).mean().item()
    return case.world.length * case.process.prior_kl() + inside


def path(case: Stepped) -> Tensor:
    """E KL(bridge ‖ reverse step) of every step, from tables and branch masses; nats per text."""
    world, process, noise = case.world, case.process, Noise(case.process)
    t = times(process)
    s = torch.cat((torch.zeros(1, dtype=torch.float64), t[:-1]))
    states = world.states(noise.states)
    joint = world.law[:, None] * noise.of_texts(world.texts, states, t[:, None].expand(-1, world.length))
    rows, true = step_rows(case.predictor, world, t, s), bridge(noise, s, t)
    if process.schedule.ends[0] < 1:  # the chain ends in the clean text itself
        clean = torch.eye(noise.tokens, noise.states, dtype=torch.float64)[:, None]
        true[0] = clean.expand(true[0].shape)
    total = torch.zeros_like(t)
    for i in range(world.length):
        p = true[:, world.texts[:, i]][:, :, states[:, i]]  # T, X, Z, N
        gap = torch.where(p > 0, p * (p / rows[:, None, :, i]).log(), 0.0).sum(-1)
        total += torch.where(joint > 0, joint * gap, 0.0).sum((1, 2))
    return total


def path_error(case: Stepped) -> float:
    """The terms of the bound, step by step, and the reconstruction apart; relative to their sum."""
    expected, t = path(case), times(case.process)
    found = diffusion(case.predictor, case.world, t) / len(t)
    first = reconstruction(case.predictor, case.world, case.process.first)
    prior = case.process.prior_kl() - prior_cost(Noise(case.process))
    gap = max((found - expected).abs().sum().item(), abs(first - expected[0].item()), abs(prior))
    return gap / max(1.0, expected.sum().item())


def later_and_first(predictor: Predictor, world: World, editable: Tensor | None = None) -> tuple[float, float]:
    """What the code under test takes for the diffusion and the reconstruction term, nats per text."""
    process = predictor.process
    t = times(process)
    later = diffusion(predictor, world, t[1:], editable).sum().item() / len(t) if len(t) > 1 else 0.0
    return later, reconstruction(predictor, world, process.first, editable)


def scored() -> dict[str, Predictor]:
    """Networks of few and of many steps; the last one sees noise from the first step on."""
    found = {
        f"exact network, {name}, T={steps}": bayes_predictor(
            three(), Discrete(three().vocabulary, base.schedule, base.destination, steps)
        )
        for name, base in golden(three()).items()
        if name in ("mask", "uniform")
        for steps in (1, 3, 20)
    }
    wrong = ArbitraryDenoiser(three(), seed=5)
    for steps in (1, 5):
        loud = Discrete(three().vocabulary, Geometric(0.2, 3.0), Uniform(), steps)
        found[f"arbitrary network, uniform, geometric, T={steps}"] = Predictor(wrong, loud, "leave_one_out")
    return found


def likelihood_error(predictor: Predictor) -> float:
    """Estimates of both terms are unbiased, and 95 % intervals cover their sum: 4.5 standard errors, 4 of 16."""
    text = texts_of(three(), 16)
    exact = torch.zeros(2, dtype=torch.float64)
    for ids, editable in zip(text.ids, text.editable, strict=True):
        exact += torch.tensor(later_and_first(predictor, only(three().numbers(ids)), editable), dtype=torch.float64)
    found = [estimate_bound(predictor, text, draws=16, seed=seed) for seed in range(16)]
    terms = torch.tensor([[e.nats - e.prior - e.reconstruction, e.reconstruction] for e in found], dtype=torch.float64)
    missed = sum(
        abs(part.sum() - exact.sum()).item() > student_t(7) * e.stderr + 1e-9
        for part, e in zip(terms, found, strict=True)
    )
    errors = [
        z_score(drawn, value) if drawn.std() > 0 else (drawn.mean() - value).abs().item() * 1e9
        for drawn, value in zip(terms.T, exact.tolist(), strict=True)
    ]
    per_token = max(abs((e.per_token.sum() - e.nats).item()) for e in found)
    return max(*errors, missed * 4.5 / 4, per_token * 1e9)


def golden_steps() -> dict[str, tuple[int, str]]:
    return {f"uniform, T={steps}": (steps, printed) for steps, printed in DISCRETE.items()}


def golden_error(case: tuple[int, str]) -> float:
    """In units of the last printed digit."""
    steps, printed = case
    uniform = golden(toy_a())["uniform"]
    process = Discrete(toy_a().vocabulary, uniform.schedule, uniform.destination, steps)
    return in_last_digits(bound(Stepped(toy_a(), bayes_predictor(toy_a(), process))), printed)


def limit_error(name: str) -> float:
    """It falls with T, stays above the entropy, and four times the steps have a quarter of the excess."""
    world = toy_a()
    base = golden(world)[name]
    excess = []
    for steps in (1, 64, 256, 1024):
        process = Discrete(world.vocabulary, base.schedule, base.destination, steps)
        excess.append(bound(Stepped(world, bayes_predictor(world, process))) - world.entropy)
    rising = max(0.0, *(later - earlier for earlier, later in pairwise(excess)))
    return max(rising, -excess[-1], abs(excess[-1] / excess[-2] - 0.25))


def exact_networks() -> dict[str, Predictor]:
    return {
        name: bayes_predictor(three(), Discrete(three().vocabulary, base.schedule, base.destination, 4))
        for name, base in golden(three()).items()
    }


def hybrid_error(predictor: Predictor) -> float:
    """The loss is unbiased for Σ_k [KL_k + λ · cross-entropy] of the rows."""
    batch = texts_of(three())
    found = sums(DiscreteTime(0.3).loss, predictor, batch, seed=3, count=40)
    assert isinstance(predictor.process, Discrete)
    grid = times(predictor.process)
    expected = 0.0
    rows: dict[tuple[tuple[int, ...], tuple[bool, ...]], float] = {}
    for ids, editable in zip(batch.ids, batch.editable, strict=True):
        key = tuple(three().numbers(ids).tolist()), tuple(editable.tolist())
        if key not in rows:
            alone, free = only(torch.tensor(key[0])), torch.tensor(key[1])
            every = diffusion(predictor, alone, grid, free).mean().item()
            noise = enumerate_noise(alone, predictor.process, grid, free)
            sites = predictor.process.informative(noise.noised)
            nats = torch.zeros(sites.shape, dtype=torch.float64)
            log_x = predictor.predict(noise.noised, noise.batch, sites).leave_one_out()
            nats[sites] = -log_x.gather(-1, noise.noised.x0[sites][:, None])[:, 0]
            rows[key] = every + 0.3 * noise.average(nats, len(grid)).sum().item()
        expected += rows[key]
    return z_score(found, expected)


@dataclass(frozen=True)
class Table:
    """A network with a logit for every state, place and token: what training of infinite capacity would move."""

    exact: Predictor
    world: World

    def slope(self, auxiliary: float) -> tuple[Tensor, Tensor]:
        """The gradient of the expected loss at the leave-one-out optimum, and posterior − leave-one-out beside it.

        Both are (n, V), for the positions of every (step, text, state) with its probability in the gradient.
        """
        process = self.exact.process
        assert isinstance(process, Discrete)
        found = enumerate_noise(self.world, process, times(process))
        sites = process.informative(found.noised)
        prediction = self.exact.predict(found.noised, found.batch, sites)
        optimum = prediction.leave_one_out()
        logits = optimum.clone().requires_grad_()
        moved = type(prediction)(logits, "leave_one_out", prediction.evidence)
        nats = process.bound(moved, found.noised[sites])
        nats = (
            nats - auxiliary * process.steps * logits.log_softmax(-1).gather(-1, found.noised.x0[sites][:, None])[:, 0]
        )
        weight = found.probability[:, None].expand(sites.shape)[sites]
        (gradient,) = torch.autograd.grad((nats * weight).sum(), logits)
        # sum over the texts that share a state, since the network sees the state alone
        place = torch.arange(self.world.length).expand(sites.shape)[sites]
        state = (self.world.numbers(found.noised.state.ids) * 10 ** torch.arange(self.world.length)).sum(-1)
        key = (found.node * 1000 + state)[:, None].expand(sites.shape)[sites] * 10 + place
        _, group = key.unique(return_inverse=True)
        total = torch.zeros(int(group.max()) + 1, gradient.shape[-1], dtype=torch.float64)
        total.index_add_(0, group, gradient.nan_to_num(0.0))
        gap = torch.zeros_like(total)
        gap[group] = prediction.posterior().exp() - optimum.exp()
        return total, gap


def tables() -> dict[str, Table]:
    world = small_worlds()["K=3 L=2"]
    return {
        name: Table(bayes_predictor(world, Discrete(world.vocabulary, base.schedule, base.destination, 4)), world)
        for name, base in golden(world).items()
    }


def optimum_error(table: Table) -> float:
    """Without the auxiliary term the leave-one-out prediction is stationary."""
    return table.slope(0.0)[0].abs().max().item()


def auxiliary_error(table: Table) -> float:
    """With it, descent moves the head towards the posterior: what is missing to a cosine of 1."""
    gradient, gap = table.slope(1.0)
    moving = gap.abs().sum(-1) > 1e-6
    return 1 + torch.cosine_similarity(gradient[moving], gap[moving]).max().item()


def spread() -> dict[str, Table]:
    return {name: table for name, table in tables().items() if table.exact.process.destination.uniform}  # type: ignore[attr-defined]


LAWS = (
    Law("discrete-time/path", every_network, path_error, 1e-9),
    Law("discrete-time/likelihood", scored, likelihood_error, 4.5),
    Law("discrete-time/golden", golden_steps, golden_error, LAST_DIGIT),
    Law("discrete-time/limit", lambda: {name: name for name in golden(toy_a())}, limit_error, 0.05),
    Law("discrete-time/hybrid", exact_networks, hybrid_error, 4.5),
    Law("discrete-time/optimum", tables, optimum_error, 1e-9),
    Law("discrete-time/auxiliary-pulls-to-posterior", spread, auxiliary_error, 1e-6),
)
