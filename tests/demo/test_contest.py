"""Contests of a diffusion model and its twin: what is drawn and counted, and each showpiece on a tiny budget."""

import io
import json
import random
from contextlib import nullcontext

import pytest
from rich.console import Console

from undiffuse.demo.contest import Answers, Contest, Played, Question, Task, Way, draw, lines
from undiffuse.demo.showpiece import Showpiece, names, play, showpiece
from undiffuse.errors import UserError
from undiffuse.training.progress import unwatched

CONTESTS = ("addition", "reversal", "sort", "sudoku", "toy")
KEPT = {"seeds", "gate", "lines"}


def played(name, out, minutes, seeds=1):
    console = Console(file=io.StringIO(), width=120)
    piece = {name: showpiece(name)}
    results = play(piece, console, out, minutes, lambda: nullcontext(unwatched), lambda *_: nullcontext(), 1, seeds)
    return results[name], console.file.getvalue()


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTESTS)
def test_every_contest_plays_on_a_tiny_budget(name, tmp_path):
    result, printed = played(name, tmp_path / "out", 0.005)
    assert result.keys() >= KEPT
    assert result["gate"] is None
    assert "no gate is stated" in printed
    assert json.loads((tmp_path / "out" / "result.json").read_text())["lines"] == json.loads(
        json.dumps(result["lines"])
    )


@pytest.mark.slow
def test_sorting_plays_with_two_seeds(tmp_path):
    result, printed = played("sort", tmp_path / "out", 0.002, seeds=2)
    assert result["seeds"] == [0, 1]
    assert {line["way"]: len(line["by_seed"]) for line in result["lines"]}["twin, left to right"] == 2
    assert "right of 32" in printed


def test_what_trains_one_seed_says_so(tmp_path):
    with pytest.raises(UserError, match="the demo 'one' trains one seed: leave out --seeds"):
        play({"one": Showpiece("one", 1.0, None)}, None, tmp_path / "out", None, None, None, None, 2)
    assert set(CONTESTS) <= set(names())


class Echo(Task):
    def draw(self, chance, held_out):
        digit = chance.choice("0123")
        return Question(digit, digit)


def test_right_answers_are_counted_over_seeds_and_for_each():
    contest = Contest(Echo(), (Way("one", "confidence", 1),), ("one", 0.5), 1.0, 10, 10, ())
    asked = (Question("1", "1"), Question("2", "2"))
    found = [
        Played(
            seed, None, asked, {"one": Answers(texts, 1.0 + seed), "twin, left to right": Answers(("", ""), 2.0)}, {}
        )
        for seed, texts in enumerate([("1", "2"), ("1", "1")])
    ]
    one, twin = lines(contest, found)
    assert (one.accuracy.correct, one.accuracy.count, one.by_seed, one.nfe) == (3, 4, (1.0, 0.5), 1.5)
    assert (twin.accuracy.correct, twin.nfe) == (0, 2.0)
    assert one.json()["interval"] == list(one.accuracy.interval)


def test_questions_are_those_of_their_seed():
    assert draw(Echo(), 3, 50, held_out=True) == draw(Echo(), 3, 50, held_out=True)
    assert draw(Echo(), 3, 50, held_out=True) != draw(Echo(), 4, 50, held_out=True)


def test_a_digit_is_known_from_its_chain_of_nines_alone():
    from undiffuse.demo.addition import DIGITS, LONGEST, Addition, chains

    chance = random.Random(0)
    for _ in range(200):
        question = Addition().draw(chance, False)
        first, second = question.given.rstrip("=").split("+")
        assert int(first) + int(second) == int(question.answer)
        for place, length in enumerate(chains(question)):
            seen = place + length + 1  # its own column, the chain, and the column that ends it
            if length == LONGEST or seen > DIGITS:
                continue
            others = [a[:seen] + "".join(chance.choices("0123456789", k=DIGITS - seen)) for a in (first, second)]
            assert f"{int(others[0]) + int(others[1]):0{DIGITS + 1}d}"[place] == question.answer[place]
