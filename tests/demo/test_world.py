"""The showpiece of facts, played by models that know everything, or nothing."""

import io
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from undiffuse.demo import world
from undiffuse.demo.facts import countries, stated
from undiffuse.demo.showpiece import Stage, play
from undiffuse.demo.world import SHOWN, SHOWPIECE, STATED, WRONG, kinds, measured
from undiffuse.training.progress import unwatched

ANSWERS = {question.text: question.answer for questions in kinds().values() for question in questions}


class Knows:
    """Answers what it knows."""

    def __init__(self, answers):
        self.answers = answers

    def fill(self, texts, top):
        other = SimpleNamespace(text="or that", probability=0.25)
        holes = (SimpleNamespace(text=self.answers.get(t, "?"), probability=0.5, alternatives=[other]) for t in texts)
        return [[SimpleNamespace(holes=[hole])] for hole in holes]

    def check(self, text, top, threshold):
        assert text == WRONG
        proposal = SimpleNamespace(text=" Stockholm", probability=0.9)
        return SimpleNamespace(findings=[SimpleNamespace(text=" Oslo", probability=1e-4, proposals=[proposal])])


@pytest.mark.parametrize(("answers", "verdict"), [(ANSWERS, "met"), ({}, "missed")])
@pytest.mark.parametrize("minutes", [None, 0.1])
def test_what_is_promised_is_checked_and_said(tmp_path, monkeypatch, answers, verdict, minutes):
    asked = {}

    def train(self, name, file, **options):
        asked[name] = file.read_text().splitlines(), options
        return SimpleNamespace(model=Knows(answers))

    loaded = []
    monkeypatch.setattr(Stage, "train", train)
    monkeypatch.setattr(world, "load", lambda place: loaded.append(place) or Knows(ANSWERS))
    console = Console(file=io.StringIO(), width=120)
    pieces = {"world": SHOWPIECE}
    results = play(pieces, console, tmp_path / "d", minutes, lambda: nullcontext(unwatched), lambda *_: nullcontext())
    told = console.file.getvalue()
    assert f"right: {verdict}" in told if minutes is None else "promised:" not in told
    assert "Stockholm 0.90" in told
    assert all(text in told for text in SHOWN)
    assert "recorded, not trained now" in told
    assert [(Path(place) / "manifest.json").exists() for place in loaded] == ([] if answers else [True])
    found = results["world"][STATED]
    assert found["right"] == (found["of"] if answers else 0)
    (lines, options) = asked["world"]
    assert {question.text.replace("____", question.answer) for question in stated(countries())} == set(lines)
    assert options["valid"] == tmp_path / "d" / "world.txt", "nothing is held out"


def test_all_questions_are_asked_where_no_count_is_given():
    all_of, some = measured(Knows(ANSWERS)), measured(Knows(ANSWERS), 10)
    assert {name: found.count for name, found in all_of.items()} == {n: len(q) for n, q in kinds().items()}
    assert {found.count for found in some.values()} == {10}
    assert {found.share for found in all_of.values()} == {1.0}


def test_blanks_that_are_shown_are_stated():
    assert set(SHOWN) <= set(ANSWERS)
