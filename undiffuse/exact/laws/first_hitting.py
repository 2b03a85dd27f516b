"""First hitting: positions are decided at the times of the process itself, whatever its schedule."""

from dataclasses import dataclass

import torch

from ...decode.loop import walk
from ...decode.strategies.first_hitting import FirstHitting
from ...process.interpolating import Interpolating
from ..catalog import masked
from ..denoiser import bayes_predictor
from ..instruments import canvas, even, finish, text_surprise
from ..law import Law
from ..surprise import surprise
from ..world import World, small_worlds

BINS = 8


@dataclass(frozen=True)
class Case:
    process: Interpolating


def small() -> World:
    return small_worlds()["K=2 L=3"]


def cases() -> dict[str, Case]:
    return {name: Case(process) for name, process in masked(small()).items()}


def law_error(case: Case) -> float:
    """The samples are the language's own, without an error of discretization, under every schedule."""
    world = small()
    end = finish(bayes_predictor(world, case.process), canvas(world, 16_000), FirstHitting())
    return text_surprise(world, end, world.law)


def time_error(case: Case) -> float:
    """The times t at which a position is decided have P(time ≤ t) = 1 − α(t), and fall from step to step."""
    world, strategy = small(), FirstHitting()
    before = canvas(world)
    times = torch.full(before.ids.shape, torch.nan, dtype=torch.float64)
    worst, last = 0.0, torch.ones(len(before.ids), dtype=torch.float64)
    for after, _ in walk(bayes_predictor(world, case.process), before, strategy):
        step = strategy.step(case.process, before)
        newly = before.pending & ~after.pending
        times = torch.where(newly, step.t[:, None], times)
        running = newly.any(-1)
        worst = torch.inf if (step.t > last)[running].any() else worst
        last, before = step.t.where(running, last), after
    first, end = case.process.schedule.ends
    share = (case.process.schedule.one_minus_alpha(times) - (1 - first)) / (first - end)
    place = (share * BINS).long().clamp(0, BINS - 1)
    return max(worst, *(surprise(each, even(BINS)) for each in place.T))


LAWS = (
    Law("first-hitting/law", cases, law_error, 6.0),
    Law("first-hitting/times", cases, time_error, 6.0),
)
