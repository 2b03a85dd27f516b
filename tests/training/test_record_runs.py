"""Runs on lists of records: what is said, what is held out, and what the model knows of its texts."""

import json

import pytest

from undiffuse.cli.main import run as command
from undiffuse.training.run import resume, train

TINY = (
    *("tokenizer.size=300", "model.width=16", "model.depth=1", "model.heads=1"),
    *("training.rows=4", "training.windows=4", "training.draws=2", "training.validations=1"),
)
PLACES = ("Lima", "Oslo", "Rome", "Accra", "Quito", "Hanoi", "Cairo", "Sofia")
LINES = [f"{place} has {count} bridges." for place in PLACES for count in range(3, 9)]


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    file = tmp_path_factory.mktemp("facts") / "facts.txt"
    file.write_text("".join(line + "\n" for line in LINES))
    return file


def trained(facts, out, *overrides, **options):
    notes = []
    run = train(
        facts,
        out=out,
        steps=2,
        threads=1,
        overrides=(*TINY, *overrides),
        progress=lambda report: notes.append(report.note) if report.note else None,
        **options,
    )
    return run, notes


def test_a_list_is_recognized_told_and_kept(facts, tmp_path):
    run, notes = trained(facts, tmp_path / "run")
    assert len(notes) == 1
    assert notes[0].startswith("48 records, a line each, of at most ")
    assert "data.records=off" in notes[0]
    assert "8 of them are held out" in notes[0]
    manifest = run.model.manifest
    assert manifest["training"]["configuration"]["data"]["records"] == "lines"
    assert manifest["training"]["text"]["train"]["documents"] == 40
    assert run.model.trained.around.after == (run.model.tokenizer.vocabulary.eos,) * 3
    assert run.example in [line.replace(word, "____", 1) for line in LINES for word in ("has", "bridges")]
    assert run.model.fill(run.example)[0].text.startswith(run.example.partition("_")[0])
    again = resume(tmp_path / "run", steps=1)
    assert again.model.manifest["closing"] == 3


def test_short_records_of_jsonl_are_a_list(tmp_path):
    file = tmp_path / "facts.jsonl"
    file.write_text("".join(json.dumps({"text": line}) + "\n" for line in LINES))
    run, notes = trained(file, tmp_path / "run")
    assert notes[0].startswith("48 records, of at most ")
    assert run.model.manifest["closing"] == 3


def test_held_out_text_of_ones_own_is_divided_alike(facts, tmp_path):
    _, notes = trained(facts, tmp_path / "run", valid=facts)
    assert "held out (" not in notes[-1]
    assert notes[-1].startswith("48 records")


def test_off_learns_a_running_text(facts, tmp_path):
    run, notes = trained(facts, tmp_path / "run", "data.records=off")
    assert not notes
    assert run.example is None
    assert run.model.trained.around.size == 0
    assert run.model.manifest["training"]["text"]["train"]["documents"] == 1


@pytest.mark.parametrize("recipe", ["ar", "block"])
def test_other_recipes_learn_records_too(facts, tmp_path, recipe):
    run, _ = trained(facts, tmp_path / "run", recipe=recipe)
    assert run.model.generate("Lima", length=4)[0].text.startswith("Lima") or run.complete


def test_the_command_proposes_a_blank_of_a_record(facts, tmp_path, capsys):
    out = tmp_path / "run"
    assert command(["train", str(facts), "--out", str(out), "--steps", "1", "--threads", "1", *TINY]) == 0
    told = capsys.readouterr().err
    assert "48 records, a line each" in told
    assert "undiffuse fill " in told.partition("try next:")[2]
    assert "____" in told.partition("try next:")[2]
