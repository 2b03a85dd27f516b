"""What plays showpieces, on one that trains a tiny model of letters."""

import io
import json
from contextlib import nullcontext

import pytest
from rich.console import Console

from undiffuse.cli.main import run
from undiffuse.demo import showpiece
from undiffuse.demo.showpiece import Showpiece, Stage, names, play
from undiffuse.errors import UserError
from undiffuse.training.progress import unwatched

TINY = (
    *("tokenizer.size=290", "model.width=16", "model.depth=1", "model.heads=1", "model.context=64"),
    *("training.rows=4", "training.windows=4", "training.draws=2", "training.validations=1"),
)


def letters(stage: Stage) -> dict[str, object]:
    file = stage.out / "letters.txt"
    file.write_text("abcdefg hijk " * 60)
    model = stage.train("letters", file, steps=2, overrides=TINY).model
    stage.console.print(f"full: {stage.full}")
    return {"context": model.context, "minutes": stage.minutes, "unknown": float("nan")}


LETTERS = Showpiece("letters", 1.0, letters)


def played(pieces, out, minutes=None):
    console = Console(file=io.StringIO())
    results = play(pieces, console, out, minutes, lambda: nullcontext(unwatched), lambda *_: nullcontext())
    return results, console.file.getvalue()


def test_a_showpiece_has_a_directory_and_keeps_its_numbers(tmp_path):
    results, printed = played({"letters": LETTERS}, tmp_path / "here")
    kept = json.loads((tmp_path / "here" / "result.json").read_text())
    assert kept == {"context": 64, "minutes": 1.0, "unknown": None}
    assert results["letters"]["context"] == 64
    assert (tmp_path / "here" / "letters" / "report.md").exists()
    assert printed == "full: True\n"
    with pytest.raises(UserError, match="here exists already: choose another --out"):
        played({"letters": LETTERS}, tmp_path / "here")


@pytest.mark.slow
def test_fewer_minutes_state_no_gate_and_several_share_a_directory(tmp_path):
    pieces = {"one": LETTERS, "two": LETTERS}
    results, printed = played(pieces, tmp_path / "both", minutes=0.5)
    assert printed == "full: False\n" * 2
    assert {name: result["minutes"] for name, result in results.items()} == {"one": 0.5, "two": 0.5}
    assert (tmp_path / "both" / "two" / "result.json").exists()


def test_minutes_are_positive(tmp_path):
    with pytest.raises(UserError, match="positive number of minutes"):
        played({"letters": LETTERS}, tmp_path / "never", minutes=0)
    assert not (tmp_path / "never").exists()


def test_the_command_plays_by_name(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(showpiece, "showpiece", lambda name: LETTERS)
    assert run(["demo", "letters", "--json", "--out", str(tmp_path / "out")]) == 0
    assert json.loads(capsys.readouterr().out) == {"letters": {"context": 64, "minutes": 1.0, "unknown": None}}


def test_names_are_files_and_near_ones_are_told(capsys):
    assert "pages" in names()
    assert "showpiece" not in names()
    assert run(["demo", "page"]) == 2
    assert "there is no demo 'page'; did you mean 'pages'?" in capsys.readouterr().err


def test_every_showpiece_is_listed(capsys):
    assert run(["list", "demos"]) == 0
    told = capsys.readouterr().out.splitlines()[1:]
    assert [line.split()[0] for line in told] == list(names())
