"""Flow matching: its own bound, which is loose under uniform noise, and what its jumps and Ψ steps converge to."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...decode.strategies.flow_jump import FlowJump
from ...decode.strategies.psi import Psi
from ...objective.flow_matching import FlowMatching, flow_bound
from ...predictor import Predictor
from ...process.destinations.mask import Mask
from ...process.destinations.uniform import Uniform
from ...process.interpolating import Interpolating
from ...process.jumps import Jumps
from ...process.schedules.one_minus_t import OneMinusT
from ..catalog import golden
from ..denoiser import ArbitraryDenoiser, bayes_predictor
from ..expectation import enumerate_noise, integral, interpolating
from ..instruments import canvas, finish, gap, sums, text_surprise, whole_texts
from ..law import LAST_DIGIT, Law, in_last_digits
from ..noise import Noise
from ..reverse import chain_law, distance, log_predictions, renoised, step_rows
from ..scoring import three, z_score
from ..world import World, small_worlds, toy_a, world
from .samplers import STEPS, golden_grid


def flow_integral(predictor: Predictor, small: World, low: float = 0.0) -> float:
    """∫ E Σ_i of the loss dt over [low, 1], nats per text."""
    process = interpolating(predictor)

    def at(times: Tensor) -> Tensor:
        # earlier times are 0 to a network that is told 1 − α, and noise it has never seen is infinitely improbable
        found = enumerate_noise(small, process, times.clamp(min=2.0**-53))
        sites = process.informative(found.noised)
        nats = torch.zeros(sites.shape, dtype=torch.float64)
        nats[sites] = flow_bound(process.law, predictor.predict(found.noised, found.batch, sites), found.noised[sites])
        return found.average(nats, len(times))

    return integral(at, low, 1.0, nodes=200)


def one_token() -> World:
    """p = (.5, .3, .2), H = 1.0296530 nats."""
    return world(3, 1, [5, 3, 2])


@dataclass(frozen=True)
class Loose:
    """A world, the noise of the source, and the printed bound."""

    world: World
    process: Interpolating
    printed: str


def golden_bounds() -> dict[str, Loose]:
    """From uniform tokens 1.3147552 over all times (1.3147527 is printed where those below 2e-7 are left out)."""
    one = one_token()
    line = OneMinusT()
    return {
        "uniform": Loose(one, Interpolating(one.vocabulary, line, Uniform()), "1.3147552"),
        "mask": Loose(one, Interpolating(one.vocabulary, line, Mask()), "1.0296530"),
    }


def golden_bound_error(case: Loose) -> float:
    """In units of the last printed digit: with the exact posterior the bound is H from masks, more from tokens."""
    return in_last_digits(
        flow_integral(bayes_predictor(case.world, case.process, "posterior"), case.world), case.printed
    )


def masked_error(process: Interpolating) -> float:
    """From masks it is the bound of masked noise, whatever the network says: nats at every site."""
    small = toy_a()
    predictor = Predictor(ArbitraryDenoiser(small, seed=3), process, "posterior")
    found = enumerate_noise(small, process, torch.tensor([0.2, 0.7], dtype=torch.float64))
    sites = process.informative(found.noised)
    prediction = predictor.predict(found.noised, found.batch, sites)
    noised = found.noised[sites]
    return gap(flow_bound(process.law, prediction, noised), process.bound(prediction, noised))


def loss_error(case: tuple[Interpolating, float]) -> float:
    """The objective is unbiased for the mean over [floor, 1] of what is enumerated."""
    process, floor = case
    small = three()
    predictor = bayes_predictor(small, process, "posterior")
    batch, mixed = whole_texts(small)
    found = sums(FlowMatching(floor=floor).loss, predictor, batch, seed=5, count=40)
    return z_score(found, flow_integral(predictor, mixed, floor) / (1 - floor) * len(batch.ids))


def losses() -> dict[str, tuple[Interpolating, float]]:
    return {name: (process, 0.05) for name, process in golden(three()).items() if name in ("uniform", "mask")}


# Total variation on toy A, uniform noise, even grid from 1 to 1e-4 and a draw from the posterior
JUMPS = ("0.0862", "0.0328", "0.0116", "0.0039", "0.0012")
HALF = ("0.0724", "0.0259", "0.0113", "0.0055", "0.0027")
NONE = ("0.0788", "0.0342", "0.0161", "0.0078", "0.0039")


def jump_rows(predictor: Predictor, small: World, grid: Tensor, strategy: FlowJump) -> Tensor:
    process = interpolating(predictor)
    t, s = grid[:-1], grid[1:]
    chance = strategy.chance(process, t, s)[:, None, None, None]
    states = small.states(Noise(process).states)
    masked = states == small.tokens
    chance = torch.where(masked | process.law.spreads, chance[..., 0], 0.0)[..., None]
    return chance * _clean(predictor, small, t) + (1 - chance) * _stays(process, small)


def psi_rows(predictor: Predictor, small: World, grid: Tensor, strategy: Psi) -> Tensor:
    process = interpolating(predictor)
    t, s = grid[:-1], grid[1:]
    kappa = strategy.share.kept(process.law, t, s, len(t))[:, None, None, None]
    at = process.law.arrival(s)
    anew = at.alpha[:, None, None, None] * _clean(predictor, small, t)
    anew = anew + at.corrupted[:, None, None, None] * renoised(Noise(process), s)[:, None, None]
    return kappa * step_rows(predictor, small, t, s) + (1 - kappa) * anew


def _clean(predictor: Predictor, small: World, t: Tensor) -> Tensor:
    """p(x | z_t) over the states, of every state."""
    process = interpolating(predictor)
    states = small.states(Noise(process).states)
    log_x = log_predictions(predictor, small, states, t)[..., small.rows[:-1]]
    evidence = Noise(process).evidence(states.expand(len(t), -1, -1), t[:, None, None].expand(len(t), *states.shape))
    weight = log_x.exp() * evidence
    clean = torch.zeros(*weight.shape[:-1], Noise(process).states, dtype=torch.float64)
    total = weight.sum(-1, keepdim=True)
    clean[..., : small.tokens] = torch.where(total > 0, weight / total, 1 / small.tokens)  # or no text leads there
    return clean


def _stays(process: Jumps, small: World) -> Tensor:
    count = Noise(process).states
    return torch.nn.functional.one_hot(small.states(count), count).double()


@dataclass(frozen=True)
class Golden:
    strategy: FlowJump | Psi
    printed: tuple[str, ...]


def golden_samplers() -> dict[str, Golden]:
    return {
        "flow-jump": Golden(FlowJump(), JUMPS),
        "psi, kappa=.5": Golden(Psi(mode="constant", kappa=0.5), HALF),
        "psi, kappa=0": Golden(Psi(mode="constant", kappa=0.0), NONE),
    }


def rows_of(predictor: Predictor, small: World, grid: Tensor, strategy: FlowJump | Psi) -> Tensor:
    table = psi_rows if isinstance(strategy, Psi) else jump_rows
    return table(predictor, small, grid, strategy)  # type: ignore[arg-type]


def error_after(small: World, process: Interpolating, strategy: FlowJump | Psi, grid: Tensor) -> float:
    rows = rows_of(bayes_predictor(small, process), small, grid, strategy)
    return distance(chain_law(process, small, rows), small.law)


def golden_error(case: Golden) -> float:
    """In units of the last printed digit."""
    small = toy_a()
    process = golden(small)["uniform"]
    found = [error_after(small, process, case.strategy, golden_grid(steps)) for steps in STEPS]
    return max(in_last_digits(value, text) for value, text in zip(found, case.printed, strict=True))


def level_error(case: tuple[Psi, float]) -> float:
    """Distance of error(1024 steps)/error(256 steps) on K = 3 from what the mode has."""
    strategy, expected = case
    process = golden(three())["uniform"]
    few, many = (error_after(three(), process, strategy, golden_grid(steps)) for steps in (256, 1024))
    return abs(many / few - expected)


def slopes() -> dict[str, tuple[Psi, float]]:
    """A share that stays leaves an error (κ = .5: 0.0147 after 16384 steps); one that shrinks leaves none."""
    return {
        "constant, kappa=.5": (Psi(mode="constant", kappa=0.5), 0.834),
        "constant, kappa=0": (Psi(mode="constant", kappa=0.0), 0.904),
        "shrinking": (Psi(), 0.286),
    }


@dataclass(frozen=True)
class Walked:
    strategy: FlowJump | Psi
    process: Interpolating


def walked() -> dict[str, Walked]:
    found = golden(small_worlds()["K=2 L=3"])
    return {
        "flow-jump, uniform": Walked(FlowJump(), found["uniform"]),
        "flow-jump, mask": Walked(FlowJump(), found["mask"]),
        "flow-jump, mix k=.3": Walked(FlowJump(), found["mix k=.3"]),
        "psi, constant, uniform": Walked(Psi(mode="constant", kappa=0.3), found["uniform"]),
        "psi, shrinking, mix k=.3": Walked(Psi(), found["mix k=.3"]),
        "psi, cap, uniform": Walked(Psi(mode="cap", eta=0.3), found["uniform"]),
        "psi, rescale, growing-mask p=.2": Walked(Psi(mode="rescale", eta=0.5), found["growing-mask p=.2"]),
    }


def walk_error(case: Walked) -> float:
    """Four steps through the loop against the law of the written-out steps."""
    small = small_worlds()["K=2 L=3"]
    predictor = bayes_predictor(small, case.process)
    grid = torch.linspace(1.0, 0.0, 5, dtype=torch.float64)
    law = chain_law(case.process, small, rows_of(predictor, small, grid, case.strategy))
    return text_surprise(small, finish(predictor, canvas(small, 8_000, steps=4), case.strategy), law)


def renewal_golden() -> dict[str, tuple[Psi, float]]:
    """κ of a step from α = 0.3 to 0.5: as printed by hand from ReMDM's σ_max = min(1, .5/.3) = 1."""
    return {
        "constant": (Psi(mode="constant", kappa=0.9), 0.9),
        "shrinking": (Psi(churn=2.0), 0.75),
        "cap": (Psi(mode="cap", eta=0.02), 0.96),
        "rescale": (Psi(mode="rescale", eta=0.1), 0.8),
    }


def renewal_error(case: tuple[Psi, float]) -> float:
    strategy, expected = case
    t, s = torch.tensor([[0.7], [0.5]], dtype=torch.float64)
    return abs(strategy.share.kept(golden(three())["uniform"].law, t, s, 8).item() - expected)


LAWS = (
    Law("flow/bound-golden", golden_bounds, golden_bound_error, LAST_DIGIT),
    Law("flow/masked", lambda: {"mask": golden(toy_a())["mask"]}, masked_error, 1e-12),
    Law("flow/unbiased", losses, loss_error, 4.5),
    Law("flow/golden", golden_samplers, golden_error, LAST_DIGIT),
    Law("flow/steps", walked, walk_error, 6.0),
    Law("psi/level", slopes, level_error, 0.005),
    Law("psi/share", renewal_golden, renewal_error, 1e-12),
)
