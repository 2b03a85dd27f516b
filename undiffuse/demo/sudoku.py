"""Sudokus of six rows: solved by whatever cell is surest, from left to right, in random order, and by the twin.

The diffusion model learns filled grids, with any cells hidden; a puzzle is a grid with blanks, which it fills. The twin
writes from left to right and cannot see a clue that comes later, so it reads the puzzle first and writes the grid.
Every puzzle has one solution.

Networks see distances and not places, so both read first which row and which column each cell is in: the letter of its
row stands 72 tokens before it, that of its column 36. A name in front of each row serves too, in twice the steps.
"""

import random
from collections.abc import Sequence
from functools import cache

from .contest import Contest, Continued, Filled, Question, Task, Way, play
from .contest_page import told
from .showpiece import Result, Showpiece, Stage
from .sudoku_grids import BLANK, CELLS, SIZE, puzzle, scrambled

PLACES = "".join("abcdef"[cell // SIZE] for cell in range(CELLS)) + "uvwxyz" * SIZE
PUZZLES = 300
"""Puzzles that are scrambled into all that is learned."""


class Sudoku(Task):
    """Scrambles of some puzzles: digits renamed, rows and columns exchanged. Held out are scrambles of others."""

    def draw(self, chance: random.Random, held_out: bool) -> Question:
        return Question(*scrambled(chance, *chance.choice(puzzles(held_out))))


@cache
def puzzles(held_out: bool) -> Sequence[tuple[str, str]]:
    chance = random.Random(1 if held_out else 0)
    return [puzzle(chance) for _ in range(PUZZLES)]


CONTEST = Contest(
    Sudoku(),
    ways=(
        Way("confidence", "confidence"),
        Way("left to right", "left-to-right"),
        Way("random order", "random"),
        Way("confidence, 8 steps", "confidence", 8),
        Way("confidence, 4 steps", "confidence", 4),
        Way("confidence, 2 steps", "confidence", 2),
        Way("confidence, 1 step", "confidence", 1),
        Way("threshold 0.9", "threshold", options={"threshold": 0.9}),
    ),
    promise=("confidence", 0.95),
    minutes=1.5,
    steps=400,
    twin_steps=300,
    overrides=("model.width=96", "model.depth=4", "model.heads=3", "training.rows=32"),
    side=Filled(BLANK, PLACES),
    twin=Continued(PLACES),
    questions=100,
)


def run(stage: Stage) -> Result:
    stage.console.rule("sudokus of six rows: the surest cell first", align="left")
    played = play(stage, CONTEST)
    question, answer = played[0].questions[0], played[0].answers["confidence"].texts[0]
    result = told(stage, CONTEST, played)
    for left, right in zip(rows(question.given), rows(answer), strict=True):
        stage.console.print(f"{left}    {right}", markup=False)
    return result


def rows(text: str) -> list[str]:
    return [" ".join(text[start : start + 6]) for start in range(0, 36, 6)]


SHOWPIECE = Showpiece(
    "sudokus: confidence solves what left to right and the twin do not", CONTEST.minutes, run, several=True
)
