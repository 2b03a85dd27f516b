"""Sorting ten digits: given the list every digit of the answer is certain, so all of them can be written at once."""

import random

from .contest import Contest, Question, Task, Way, play
from .contest_page import told
from .showpiece import Result, Showpiece, Stage

DIGITS = 10
AT_ONCE = "threshold 0.9"


class Sorting(Task):
    """A list of random digits, and the same in order. Of 10¹⁰ lists none is likely to be asked that was learned."""

    def draw(self, chance: random.Random, held_out: bool) -> Question:
        digits = "".join(chance.choices("0123456789", k=DIGITS))
        return Question(f"{digits}>", "".join(sorted(digits)))


CONTEST = Contest(
    Sorting(),
    ways=(
        Way("confidence", "confidence"),
        Way("left to right", "left-to-right"),
        Way("random order", "random"),
        Way("confidence, 5 steps", "confidence", 5),
        Way("confidence, 2 steps", "confidence", 2),
        Way("confidence, 1 step", "confidence", 1),
        Way(AT_ONCE, "threshold", options={"threshold": 0.9}),
    ),
    promise=(AT_ONCE, 0.98),
    minutes=0.6,
    steps=600,
    twin_steps=600,
    overrides=("model.width=64", "model.depth=4", "model.heads=2", "training.rows=64"),
)


def run(stage: Stage) -> Result:
    stage.console.rule(f"sorting {DIGITS} digits: how many at once?", align="left")
    played = play(stage, CONTEST)
    found = next(each.answers[AT_ONCE] for each in played)
    result = told(stage, CONTEST, played, tokens_per_forward=(DIGITS + 1) / found.nfe)
    stage.console.print(
        f"By a threshold a list takes {found.nfe:.2f} evaluations of the network, {(DIGITS + 1) / found.nfe:.1f} "
        f"tokens each; the twin takes {DIGITS + 1}."
    )
    question, answer = played[0].questions[0], found.texts[0]
    stage.console.print(f"{question.given}{answer}", markup=False)
    return result


SHOWPIECE = Showpiece(
    "sorting ten digits in one evaluation of the network, beside the twin's eleven", CONTEST.minutes, run, several=True
)
