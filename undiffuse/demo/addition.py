"""Adding two numbers of eight digits: in which order does confidence write the sum?

A digit of the sum depends on the two above it and on whether a one is carried into it. Where the two digits below add
up to 9 the carry comes from further right, and so on: the digit must wait. A model that decodes the surest digit first
can write the others before these; one that writes from the left must know the longest chain of nines at once.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from torch import Tensor

from ..decode.event import Event
from ..language_model import LanguageModel
from .contest import Contest, Question, Task, Way, play
from .contest_page import told
from .contest_plot import INK, OURS
from .showpiece import Result, Showpiece, Stage

if TYPE_CHECKING:
    from matplotlib.axes import Axes

DIGITS = 8
LONGEST = 2
"""Chains as long or longer are counted together."""


class Addition(Task):
    """Two numbers and their sum, leading zeros written."""

    def draw(self, chance: random.Random, held_out: bool) -> Question:
        first, second = (chance.randrange(10**DIGITS) for _ in range(2))
        return Question(f"{first:0{DIGITS}d}+{second:0{DIGITS}d}=", f"{first + second:0{DIGITS + 1}d}")


CONTEST = Contest(
    Addition(),
    ways=(
        Way("confidence", "confidence"),
        Way("left to right", "left-to-right"),
        Way("random order", "random"),
        Way("confidence, 5 steps", "confidence", 5),
        Way("confidence, 3 steps", "confidence", 3),
        Way("confidence, 2 steps", "confidence", 2),
        Way("confidence, 1 step", "confidence", 1),
        Way("threshold 0.9", "threshold", options={"threshold": 0.9}),
    ),
    promise=("confidence", 0.95),
    minutes=1.0,
    steps=1000,
    twin_steps=1000,
    overrides=("model.width=64", "model.depth=4", "model.heads=2", "training.rows=64"),
)


def run(stage: Stage) -> Result:
    stage.console.rule(f"adding numbers of {DIGITS} digits: which digit first?", align="left")
    played = play(stage, CONTEST)
    waits: dict[int, list[int]] = defaultdict(list)
    for each in played:
        for length, step in waiting(each.model, each.questions):
            waits[length].append(step)
    mean = {length: sum(steps) / len(steps) for length, steps in sorted(waits.items())}
    result = told(stage, CONTEST, played, [lambda axes: panel(axes, mean)], decided_at=mean)
    table = Table(
        "digits below that add up to 9",
        "digits",
        "decided on average as number",
        box=None,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    for length, average in mean.items():
        table.add_row(named(length), f"{len(waits[length]):,}", f"{average:.2f} of {DIGITS + 1}")
    stage.console.print(table)
    return result


def waiting(model: LanguageModel, questions: Sequence[Question]) -> list[tuple[int, int]]:
    """Of every digit: the length of the chain that its carry comes through, and as which digit confidence decided it.

    The decisions are those of the order of confidence, counted from 1.
    """
    decided: list[Tensor] = []

    def see(event: Event) -> None:
        decided.append(event.written.committed)

    found = []
    for start in range(0, len(questions), 64):
        asked = questions[start : start + 64]
        decided.clear()
        model.generate(
            [question.given for question in asked],
            length=DIGITS + 2,  # and the end
            strategy="confidence",
            temperature=0.0,
            on_event=see,
        )
        for row, question in enumerate(asked):
            order = [place for event in decided for place in event[row].nonzero()[:, 0].tolist() if place <= DIGITS]
            found += [(length, 1 + order.index(place)) for place, length in enumerate(chains(question))]
    return found


def chains(question: Question) -> list[int]:
    """For each digit of the sum, the leading one first: how many columns in a row below it add up to 9."""
    first, second = question.given.rstrip("=").split("+")
    nines = [int(a) + int(b) == 9 for a, b in zip(first, second, strict=True)]
    found = []
    for place in range(DIGITS + 1):
        length = 0
        while place + length < DIGITS and nines[place + length]:
            length += 1
        found.append(min(length, LONGEST))
    return found


def named(length: int) -> str:
    return f"{length} or more" if length == LONGEST else str(length)


def panel(axes: "Axes", mean: dict[int, float]) -> None:
    axes.bar([named(length) for length in mean], list(mean.values()), color=OURS, width=0.6)
    axes.axhline((DIGITS + 2) / 2, color=INK, linestyle=(0, (4, 3)), linewidth=0.8)
    axes.set_xlabel("columns below that add up to 9")
    axes.set_ylabel("decided as number (mean)")
    axes.set_title("digits whose carry comes from afar wait")


SHOWPIECE = Showpiece(
    "adding eight digits: confidence writes what no carry reaches first", CONTEST.minutes, run, several=True
)
