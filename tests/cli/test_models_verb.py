"""`undiffuse models`, --model NAME, and what verbs say of a model that was not named."""

import json
import shutil

import pytest

from undiffuse.cli.main import run
from undiffuse.language_model import named


@pytest.fixture
def bundle(tmp_path, monkeypatch):
    """Where models lie that come with this package, on this machine none."""
    monkeypatch.setattr(named, "_bundle", lambda: tmp_path / "bundled")
    return tmp_path / "bundled"


@pytest.fixture
def bundled(bundle, model, tmp_path, monkeypatch):
    """The tiny run as the model that comes with this package, for somebody without runs."""
    bundle.mkdir()
    shutil.copytree(model, bundle / "world", ignore=shutil.ignore_patterns("checkpoints"))
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return bundle / "world"


def test_runs_are_listed_and_what_can_be_installed(bundle, work, capsys):
    assert run(["models"]) == 0
    title, words, *others = capsys.readouterr().out.splitlines()
    assert title.split() == ["name", "family", "parameters", "context", "on", "disk", "license", "where"]
    assert words.split()[:2] == ["words", "undiffuse"]
    assert words.endswith("words (used where none is named)")
    assert any(line.startswith("smollm2") for line in others)


def test_as_json(bundle, work, capsys):
    assert run(["models", "--json"]) == 0
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["words"]["source"] == "run"
    assert found["words"]["default"]
    assert found["words"]["context"] == 64
    assert {each["installed"] for each in found.values()} <= {True, False}


def test_a_name_in_the_place_of_a_path(bundle, work, capsys):
    assert run(["fill", "ab [MASK] cd", "--model", "words", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["model"] == "runs/words"
    assert "model:" not in err
    assert run(["inspect", "words"]) == 0
    assert run(["fill", "ab [MASK] cd", "--model", "wrods"]) == 2
    assert "did you mean 'words'? (`undiffuse models` lists names)" in capsys.readouterr().err


def test_without_a_run_the_bundled_model_is_used_and_said_in_one_line(bundled, capsys):
    said = "model: world, which comes with undiffuse, since there is no finished run under runs/\n"
    for verb in (["fill", "ab [MASK] cd"], ["generate", "--length", "4"], ["check", "--text", "ab cd"]):
        assert run([*verb, "--json"]) == 0
        out, err = capsys.readouterr()
        found = json.loads(out)
        assert found["model"] == "world"
        assert err == said
    assert run(["inspect", "--json"]) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out)["where"], err) == ("world", said)
    assert run(["--quiet", "fill", "ab [MASK] cd"]) == 0
    assert capsys.readouterr().err == ""
    assert run(["models"]) == 0
    assert "comes with undiffuse (used where none is named)" in capsys.readouterr().out


def test_a_damaged_model_is_told_in_the_list(bundled, capsys):
    (bundled / "model.safetensors").unlink()
    assert run(["models"]) == 0
    assert "world cannot be used yet: " in capsys.readouterr().out


def test_studies_need_a_run_with_its_text(bundled, capsys):
    assert run(["study", "fidelity"]) == 2
    assert "run" in capsys.readouterr().err.splitlines()[-1]


def test_training_goes_on_from_a_name(bundled, text, tmp_path, capsys):
    assert run(["train", str(text), "--from", "world", "--out", str(tmp_path / "next"), "--steps", "1"]) == 0
    assert json.loads((tmp_path / "next" / "run.json").read_text())["start"] == "world"
