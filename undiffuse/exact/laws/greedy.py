"""Greedy decoding: what each strategy commits at each step, replayed in plain Python."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...decode.canvas import start
from ...decode.loop import walk
from ...decode.strategies.strategy import Strategy
from ...kinds import STRATEGIES
from ...process.interpolating import Interpolating
from ..catalog import golden
from ..denoiser import bayes_predictor
from ..law import Law
from ..world import World, world
from .decoding import four, partly_known

Select = Callable[[list[int], dict[int, float], int], list[int]]


def _quota(pending: int, steps_left: int) -> int:
    """LLaDA's counts: n tokens over k steps, the remainder to the earliest."""
    return pending // steps_left + (pending % steps_left > 0)


GREEDY: dict[str, Select] = {
    "confidence": lambda open_, p, left: sorted(open_, key=lambda i: (-p[i], i))[: _quota(len(open_), left)],
    "left-to-right": lambda open_, p, left: sorted(open_)[: _quota(len(open_), left)],
    "threshold": lambda open_, p, left: [i for i in open_ if p[i] >= 0.7] or [min(open_, key=lambda i: (-p[i], i))],
}


@dataclass(frozen=True)
class Case:
    world: World
    strategy: Strategy
    select: Select
    steps: int


def greedy() -> dict[str, Case]:
    """Strategies without randomness at temperature 0, over several numbers of steps; and where everything ties."""
    found = {}
    flat = world(2, 4, [1] * 16)
    for kind, select in GREEDY.items():
        cls: Any = STRATEGIES.load(kind)
        for steps in (1, 2, 3, 4):
            strategy = cls(threshold=0.7) if kind == "threshold" else cls()
            found[f"{kind}, {steps} steps"] = Case(four(), strategy, select, steps)
        found[f"{kind}, ties"] = Case(flat, cls(), select, 3)
    return found


def greedy_error(case: Case) -> float:
    """Commitments of every step, against plain enumeration in Python, from every partly known text.

    Among equals the lowest position and the lowest token win.
    """
    small = case.world
    process = golden(small)["mask"]
    predictor = bayes_predictor(small, process)
    wrong = 0
    for fixed in small.states(2)[:-1]:  # which positions are fixed
        text, pending = small.texts[int(fixed @ torch.tensor([3, 5, 6, 9])) % 16], fixed == 0
        ids = torch.where(pending, small.rows[0], small.rows[text])
        found = [
            (small.numbers(after.ids)[0].tolist(), after.pending[0].tolist())
            for after, _ in walk(predictor, start(ids, pending, key=0, steps=case.steps), case.strategy)
        ]
        wrong += found[1:] != list(_replay(small, process, text, pending, case.select, case.steps))
    return float(wrong)


def _replay(
    small: World, process: Interpolating, text: Tensor, pending: Tensor, select: Select, steps: int
) -> Iterator[tuple[list[int], list[bool]]]:
    """What the strategy must do: numbers (mask = K where pending) and pending flags after each step."""
    z = torch.where(pending, small.tokens, text)
    step = 0
    while (z == small.tokens).any():
        p = partly_known(small, process, z)
        open_ = (z == small.tokens).nonzero()[:, 0].tolist()
        best = {i: p[i].max().item() for i in open_}
        chosen = select(open_, best, max(1, steps - step))
        z = z.clone()
        for i in chosen:
            z[i] = p[i].argmax()
        step += 1
        yield z.tolist(), (z == small.tokens).tolist()


LAWS = (Law("decode/greedy", greedy, greedy_error, 0.0),)
