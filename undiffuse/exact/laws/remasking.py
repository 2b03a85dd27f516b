"""ReMDM: the share of masks is the process's whatever is taken back; the law of the samples, and when it converges."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...decode.canvas import Canvas
from ...decode.loop import walk
from ...decode.strategies.remdm import Remdm
from ...process.interpolating import Interpolating
from ..catalog import golden, masked
from ..denoiser import bayes_predictor
from ..instruments import canvas, finish, gap, text_surprise
from ..law import Law
from ..noise import Noise
from ..reverse import distance, log_predictions
from ..world import World, small_worlds, toy_a

STEPS = 8
STRONG = {"cap": 0.2, "rescale": 0.3, "loop": 0.25}
"""Rates at which much is taken back, by mode."""


@dataclass(frozen=True)
class Case:
    strategy: Remdm
    process: Interpolating


def small() -> World:
    return small_worlds()["K=2 L=3"]


def by_rate() -> dict[str, Case]:
    """Modes whose rates depend on the time alone, on every masked process."""
    found = {}
    for mode, eta in STRONG.items():
        for name, process in masked(small()).items():
            found[f"{mode}, {name}"] = Case(Remdm(mode, eta), process)
    return found


def pushed(case: Case, world: World, steps: int) -> Iterator[tuple[float, Float[Tensor, " Z"]]]:
    """α_s and the law over states after every step, from the rates of the code under test."""
    process, predictor = case.process, bayes_predictor(world, case.process)
    states = world.states(Noise(process).states)
    mask = world.tokens
    begin = canvas(world, len(states), steps=steps)
    begin = begin.replace(ids=world.rows[states], pending=states == mask, window_number=torch.zeros_like(states))
    begin = _in_window(begin)
    law = (states == mask).all(-1).double()
    for k in range(steps):
        now = begin.replace(clock=torch.full_like(begin.clock, k))
        step = case.strategy.step(process, now)
        reveal, remask = case.strategy.rates(process, now, step)
        predicted = log_predictions(predictor, world, states, step.t[:1])[0][..., world.rows[:-1]].exp()
        masks = (states == mask)[..., None]
        stays = torch.nn.functional.one_hot(states, mask + 1).double()
        from_mask = torch.cat((reveal[..., None] * predicted, 1 - reveal[..., None]), -1)
        lost = torch.zeros_like(stays)
        lost[..., mask] = 1.0
        from_token = (1 - remask[..., None]) * stays + remask[..., None] * lost
        rows = torch.where(masks, from_mask, from_token)
        law = law @ torch.stack([rows[:, i][:, states[:, i]] for i in range(world.length)]).prod(0)
        yield (1.0 if step.s[0] <= 0 else process.schedule.alpha(step.s[:1]).item()), law


def _in_window(begin: Canvas) -> Canvas:
    """Texts without a mask are open as well: a window that the loop would hold open."""
    finished = ~begin.pending.any(-1)
    first = torch.zeros_like(begin.pending)
    first[:, 0] = finished
    return begin.replace(pending=begin.pending | first)


def share_error(case: Case) -> float:
    """After every step every position is masked with probability 1 − α_s."""
    world = small()
    states = world.states(world.tokens + 1)
    worst = 0.0
    for alpha, law in pushed(case, world, STEPS):
        found = law @ (states == world.tokens).double()
        worst = max(worst, gap(found, 1 - alpha))
    return worst


def final_law(case: Case, world: World, steps: int) -> Float[Tensor, " X"]:
    *_, (_, law) = pushed(case, world, steps)
    return law[(world.states(world.tokens + 1) < world.tokens).all(-1)]


def on_a_line() -> dict[str, Case]:
    process = golden(small())["mask"]
    return {mode: Case(Remdm(mode, eta), process) for mode, eta in STRONG.items()}


def law_error(case: Case) -> float:
    """The loop's texts follow the law that its rates have, also where a window has no mask left before its end."""
    world = small()
    end = finish(bayes_predictor(world, case.process), canvas(world, 16_000, steps=STEPS), case.strategy)
    return text_surprise(world, end, final_law(case, world, STEPS))


def off(eta: float, mode: str, steps: int) -> float:
    """Total variation between the samples and the language, toy A."""
    world = toy_a()
    case = Case(Remdm(mode, eta), golden(world)["mask"])
    return distance(final_law(case, world, steps), world.law)


def modes() -> dict[str, str]:
    return {mode: mode for mode in STRONG}


def convergence_error(mode: str) -> float:
    """With η ∝ 1/steps, four times the steps make a quarter of the error: the ratio's distance from ¼."""
    return abs(off(4 / 512, mode, 512) / off(4 / 128, mode, 128) - 0.25)


def fixed_rate_error(mode: str) -> float:
    """At a fixed η four times the steps halve the error of `cap` and `rescale`; that of `loop` stays, in proportion."""
    more_steps = off(0.1, mode, 512) / off(0.1, mode, 128)
    if mode != "loop":
        return abs(more_steps - 0.5)
    return max(abs(more_steps - 1), abs(off(0.05, mode, 512) / off(0.1, mode, 512) - 0.5))


def every_mode() -> dict[str, Remdm]:
    return {"confidence": Remdm("confidence")} | {mode: Remdm(mode, eta) for mode, eta in STRONG.items()}


def count_error(strategy: Remdm) -> float:
    """The mean number of masks in 4000 canvases after every step, in standard errors from that of the process."""
    world, process = small(), golden(small())["mask"]
    begin = canvas(world, steps=STEPS)
    worst, before = 0.0, begin
    for after, event in walk(bayes_predictor(world, process), begin, strategy):
        if int(event.step) > 0:
            alpha = process.schedule.alpha(strategy.step(process, before).s[:1]).item()
            count = (after.ids == world.vocabulary.mask).sum(-1).double()
            error = (count.mean() - world.length * (1 - alpha)).abs()
            worst = max(worst, (error / (count.std() / len(count) ** 0.5).clamp(min=1e-12)).item())
        before = after
    return worst


LAWS = (
    Law("remasking/share", by_rate, share_error, 1e-12),
    Law("remasking/law", on_a_line, law_error, 6.0),
    Law("remasking/count", every_mode, count_error, 5.0),
    Law("remasking/converges", modes, convergence_error, 0.03),
    Law("remasking/fixed-rate", modes, fixed_rate_error, 0.1),
)
