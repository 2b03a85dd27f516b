"""Greedy decoding: what each strategy commits at each step, replayed in plain Python."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
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
from .decoding import partly_known


@dataclass(frozen=True)
class Now:
    """What a strategy sees: the open positions with the probability of their best token, and the plan."""

    p: dict[int, float]
    total: int
    step: int
    steps: int

    @property
    def left(self) -> int:
        return max(1, self.steps - self.step)

    @property
    def order(self) -> list[int]:
        """Most confident first; with two tokens this is also the order by entropy and by margin."""
        return sorted(self.p, key=lambda i: (-self.p[i], i))

    def longest(self, holds: Callable[[list[float]], bool]) -> list[int]:
        """The longest prefix of the order, of those all of whose prefixes hold; at least one position."""
        count = 1
        while count < len(self.p) and holds([self.p[i] for i in self.order[: count + 1]]):
            count += 1
        return self.order[:count]


Select = Callable[[Now], list[int]]


def _quota(pending: int, steps_left: int) -> int:
    """LLaDA's counts: n tokens over k steps, the remainder to the earliest."""
    return pending // steps_left + (pending % steps_left > 0)


def _balanced(now: Now) -> list[int]:
    done = now.total - len(now.p)
    target = math.floor(Fraction(now.total * min(now.step + 1, now.steps), now.steps) + Fraction(1, 2))
    return now.order[: max(1, target - done)]


def _dynamic(now: Now) -> list[int]:
    step = min(now.step, now.steps - 1)
    quota = max(1, now.total // now.steps + (step < now.total % now.steps))
    above = [i for i in now.order if now.p[i] > 0.7]
    return above if len(above) >= quota else now.order[:quota]


def _entropy(p: float) -> float:
    return -sum(q * math.log(q) for q in (p, 1 - p) if q > 0)


def _bounded(now: Now) -> list[int]:
    def holds(p: list[float]) -> bool:
        return sum(map(_entropy, p)) - max(map(_entropy, p)) <= 0.65

    return now.longest(holds)


def _reaching(now: Now) -> list[int]:
    return [i for i in now.p if now.p[i] >= 0.7] or now.order[:1]


GREEDY: dict[str, Select] = {
    "confidence": lambda now: now.order[: _quota(len(now.p), now.left)],
    "left-to-right": lambda now: sorted(now.p)[: _quota(len(now.p), now.left)],
    "threshold": _reaching,
    "led-threshold": _reaching,  # where attention has no blocks
    "factor": lambda now: now.longest(lambda p: (len(p) + 1) * (1 - p[-1]) <= 1.2),
    "dynamic": _dynamic,
    "entropy-bounded": _bounded,
    "certified": lambda now: now.longest(lambda p: (len(p) + 1) * (1 - p[-1]) < 1 - 1e-6),
    "maskgit-plus": _balanced,
    "topk-margin": _balanced,
    "entropy": _balanced,
}
OPTIONS: dict[str, dict[str, float]] = {
    "threshold": {"threshold": 0.7},
    "led-threshold": {"threshold": 0.7},
    "dynamic": {"threshold": 0.7},
    "factor": {"factor": 1.2},
    "entropy-bounded": {"gamma": 0.65},
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
    uneven = world(2, 4, [9.1, 2.3, 1.2, 5.7, 1.9, 8.3, 4.4, 3.6, 2.2, 2.9, 7.5, 1.6, 6.8, 3.1, 1.4, 12.7])
    for kind, select in GREEDY.items():
        cls: Any = STRATEGIES.load(kind)
        for steps in (1, 2, 3, 4):
            strategy = cls(**OPTIONS.get(kind, {}))
            found[f"{kind}, {steps} steps"] = Case(uneven, strategy, select, steps)
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
        chosen = select(Now(best, int(pending.sum()), step, steps))
        z = z.clone()
        for i in chosen:
            z[i] = p[i].argmax()
        step += 1
        yield z.tolist(), (z == small.tokens).tolist()


LAWS = (Law("decode/greedy", greedy, greedy_error, 0.0),)
