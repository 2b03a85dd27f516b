"""The reversal curse, played by models that know everything, or what was said alone, or nothing."""

import io
import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from rich.console import Console

from undiffuse.demo.contest import Trained
from undiffuse.demo.facts import BLANK, WORDINGS, countries, statements
from undiffuse.demo.reversal import CAPITALS, SHOWPIECE, kinds
from undiffuse.demo.reversal_page import BEFORE, LAST, SAID, print_table, recorded
from undiffuse.demo.showpiece import Stage, play
from undiffuse.training.progress import unwatched

TABLE = countries()
EVERYTHING = {
    question.text: question.answer for seed in range(2) for some in kinds(countries(seed)).values() for question in some
}


def test_what_is_asked_the_other_way_round_was_said_in_the_other_wording_alone():
    said = set(statements(TABLE))
    wordings = {
        country.fields["capital"]: [w.format(**country.fields) for w in WORDINGS["capital"]] for country in TABLE
    }
    for (kind, place), questions in kinds(TABLE).items():
        for question in questions:
            assert question.text.endswith(f"{BLANK}.") == (place == LAST)
            filled = question.text.replace(BLANK, question.answer)
            assert (filled in said) == (kind == SAID)
            if kind == CAPITALS:
                (both,) = [pair for pair in wordings.values() if filled in pair]
                assert sum(sentence in said for sentence in both) == 1


def test_a_seed_draws_which_wordings_are_stated_and_changes_no_fact():
    other = countries(1)
    assert [country.fields for country in other] == [country.fields for country in TABLE]
    assert [country.stated for country in other] != [country.stated for country in TABLE]
    assert [country.stated for country in other] == [country.stated for country in countries(1)]
    assert len(statements(other)) == pytest.approx(len(statements(TABLE)), abs=8)


class Knows:
    """Answers what it knows, and is right about the end of a sentence; `asked` is how it was asked."""

    def __init__(self, answers, nfe):
        self.answers, self.nfe, self.asked = answers, nfe, []
        self.left = {text.partition(f" {BLANK}")[0]: answer for text, answer in answers.items()}

    def fill(self, texts, top):
        self.asked += texts
        holes = [SimpleNamespace(text=self.answers.get(text, "?")) for text in texts]
        return [[SimpleNamespace(holes=[hole], nfe=self.nfe)] for hole in holes]

    def generate(self, texts, length, until, strategy, temperature):
        assert (until, strategy, temperature) == (".", "left-to-right", 0.0)
        return [[SimpleNamespace(text=f"{text} {self.left.get(text, '?')}", nfe=3)] for text in texts]


@pytest.fixture
def played(tmp_path, monkeypatch):
    def played(answers, minutes=None, seeds=1):
        models = {}
        trained = Trained(10, 1.0, 100, 2.0)

        def train(self, name, file, **options):
            assert set(statements(countries(options["seed"]))) == set(file.read_text().splitlines())
            kind = name.partition("-")[0]
            models[name] = Knows(answers if kind == "diffusion" else EVERYTHING, {"diffusion": 2, "twin": 1000}[kind])
            return SimpleNamespace(model=models[name])

        monkeypatch.setattr(Stage, "train", train)
        monkeypatch.setattr(Trained, "of", lambda run: trained)
        console = Console(file=io.StringIO(), width=120)
        views = (lambda: nullcontext(unwatched), lambda *_: nullcontext())
        result = play({"reversal": SHOWPIECE}, console, tmp_path / "d", minutes, *views, 1, seeds)["reversal"]
        return result, console.file.getvalue(), models

    return played


def share(result, by, kind, place):
    (line,) = [each for each in result["lines"] if (each["by"], each["kind"], each["blank"]) == (by, kind, place)]
    return line["share"]


def test_who_knows_what_was_said_passes_and_is_not_asked_to_know_the_rest(played):
    said = {q.text: q.answer for seed in (0, 1) for (kind, _), some in kinds(countries(seed)).items()
            for q in some if kind == SAID}  # fmt: skip
    result, printed, models = played(said, seeds=2)
    assert result["gate"]["holds"] is True
    assert result["seeds"] == [0, 1]
    for place in (LAST, BEFORE):
        assert share(result, "diffusion", SAID, place) == 1.0
        assert share(result, "twin", CAPITALS, place) == 1.0
    assert all(not text.endswith(f"{BLANK}.") for name in models if "twin" in name for text in models[name].asked)
    assert "holds" in printed
    assert "1,000 rows of its network" in " ".join(printed.split())
    assert {len(line["by_seed"]) for line in result["lines"]} == {2}


def test_who_knows_nothing_does_not_pass(played):
    result, printed, _ = played({})
    assert result["gate"]["holds"] is False
    assert "does NOT hold" in printed
    assert share(result, "diffusion", SAID, LAST) == 0.0
    assert [each["diffusion"] for each in result["examples"]] == ["?"] * 4


def test_a_short_run_states_no_gate(played):
    result, printed, _ = played(EVERYTHING, minutes=0.1)
    assert result["gate"] is None
    assert "no gate is stated" in printed
    assert json.loads(json.dumps(result["lines"]))


def test_the_recorded_run_can_be_printed():
    record, console = recorded(), Console(file=io.StringIO(), width=100)
    print_table(console, record["result"]["lines"])
    assert record["result"]["gate"]["holds"] is True
    assert len(record["result"]["seeds"]) == 3
    assert CAPITALS in console.file.getvalue()
