"""Fine-tuning: answers are learned and prompts are not, whole or by updates; the run opens, resumes and reports."""

import json
import shutil

import pytest
import torch
from conversing import stored
from tiny import SETTINGS, write_text

import undiffuse as ud
from undiffuse.errors import UserError
from undiffuse.training.run import resume, train
from undiffuse.training.run_directory import RunDirectory

PAIRS = [{"prompt": f"after {letter} comes", "response": "j"} for letter in "abcdefgh"]
FAST = ("training.windows=2", "training.draws=2", "training.validations=1", "training.dtype=float32")


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A run of our own."""
    folder = tmp_path_factory.mktemp("base")
    text = write_text(folder / "text.txt")
    return train(text, overrides=SETTINGS, out=folder / "run", steps=8, threads=1).directory


@pytest.fixture
def pairs(tmp_path):
    return write(tmp_path / "pairs.jsonl", PAIRS)


@pytest.fixture(scope="module")
def talking(tmp_path_factory):
    """A public checkpoint with a chat template."""
    return stored("dream", tmp_path_factory.mktemp("public") / "base")


def tune(model, data, out, *overrides, **options):
    return ud.finetune(model, data, out=out, overrides=(*FAST, *overrides), threads=1, **{"steps": 6} | options)


def test_a_run_learns_answers_on_a_canvas_and_says_what_changed(base, pairs, tmp_path):
    run = tune(base, pairs, tmp_path / "run", "optimizer.lr=0.02", steps=100, valid=pairs)
    changed = run.model.manifest["training"]["perplexity"]
    assert changed["after"] < 2 < changed["before"]
    found = ud.load(run.directory)
    assert found.generate("after c comes", temperature=0)[0].text == "after c comesj"
    canvas = found.manifest["answer"]
    assert found.generate("after c comes", temperature=0)[0].nfe <= canvas
    report = (run.directory / "report.md").read_text()
    assert "## Before and after" in report
    assert f"on a canvas of {canvas} tokens" in report
    assert "| after | j |" in report


def test_short_rows_leave_the_context_of_the_start(talking, tmp_path):
    run = tune(talking, write(tmp_path / "pairs.jsonl", PAIRS), tmp_path / "run", steps=2)
    assert run.model.manifest["training"]["configuration"]["model"]["context"] < 160
    assert ud.load(run.directory).context == ud.load(talking).context == 160
    assert "no answer" not in (run.directory / "report.md").read_text()


def test_the_rate_follows_the_width_unless_it_is_named(base, pairs, tmp_path):
    assert tune(base, pairs, tmp_path / "a").model.manifest["training"]["configuration"]["optimizer"]["lr"] == 0.019
    lora = tune(base, pairs, tmp_path / "b", lora=2).model.manifest["training"]["configuration"]
    assert lora["optimizer"]["lr"] == 0.037
    named = tune(base, pairs, tmp_path / "c", "optimizer.lr=0.5").model.manifest["training"]["configuration"]
    assert named["optimizer"]["lr"] == 0.5


@pytest.mark.parametrize("public", [False, True])
def test_updates_are_an_adapter_over_weights_that_stay(base, talking, pairs, tmp_path, public):
    start = talking if public else base
    run = tune(start, pairs, tmp_path / "run", lora=2)
    assert not (run.directory / "model.safetensors").exists()
    assert not (run.directory / "start").exists()
    before = ud.load(start).trained.trunk("read").state_dict()
    after = ud.load(run.directory).trained.trunk("read").state_dict()
    changed = {name for name in before if not torch.equal(before[name].float(), after[name].float())}
    assert changed
    assert all(name.startswith("blocks.") and name.endswith(".weight") and "norm" not in name for name in changed)
    for name in changed:
        difference = after[name].float() - before[name].float()
        maps = 3 if "qkv" in name else 2 if "up" in name else 1
        assert torch.linalg.matrix_rank(difference, atol=1e-5) <= 2 * (maps if public else 1)
    torch.testing.assert_close(run.model.trained.trunk("read").state_dict(), after, rtol=1e-5, atol=1e-6)


def test_weights_are_trained_beside_updates_where_they_are_named(talking, pairs, tmp_path):
    run = tune(talking, pairs, tmp_path / "run", 'training.train=["embedding.*"]', lora=2)
    before, after = (ud.load(place).trained.trunk("read").embedding.weight for place in (talking, run.directory))
    assert not torch.equal(before, after)


def test_a_stopped_run_of_updates_ends_in_the_same_adapter(talking, pairs, tmp_path, monkeypatch):
    whole = tune(talking, pairs, tmp_path / "whole", "training.checkpoint_seconds=0.0", lora=2)
    calls = iter(range(100))

    def stop(shown):
        if shown.phase == "training" and shown.step == 3 and next(calls) == 0:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        tune(talking, pairs, tmp_path / "cut", "training.checkpoint_seconds=0.0", lora=2, progress=stop)
    resume(tmp_path / "cut", threads=1)
    one, other = ((tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert one == other
    assert whole.complete


def test_conversations_are_written_as_the_model_answers(talking, tmp_path):
    said = [("user", "Hello"), ("assistant", "Hi."), ("user", "And?"), ("assistant", "Well.")]
    records = [{"messages": [{"role": r, "content": f"{c} {n}"} for r, c in said]} for n in range(5)]
    notes = []
    data = write(tmp_path / "talk.jsonl", records)
    run = tune(talking, data, tmp_path / "run", steps=2, progress=lambda shown: notes.append(shown.note))
    assert any("8 answers of" in note and "written by the chat template" in note for note in notes if note)
    assert ud.load(run.directory).chat([{"role": "user", "content": "Hello"}], length=3).tokens <= 3
    assert RunDirectory.open(run.directory).text[0].documents[0].messages


def test_a_network_of_blocks_answers_as_long_as_what_it_learned(pairs, tmp_path):
    records = [{**pair, "response": "j and k and j, at some length"} for pair in PAIRS]
    run = tune(stored("sdar", tmp_path / "blocks"), write(pairs, records), tmp_path / "run", steps=2)
    canvas, told = run.model.manifest["answer"], (run.directory / "report.md").read_text()
    assert canvas % 4 == 0
    assert canvas > len(run.model.tokenizer.encode("j and k and j, at some length"))
    assert f"on a canvas of {canvas} tokens" in told


def test_what_cannot_be_tuned_is_refused(base, talking, pairs, tmp_path):
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    talk, out = write(tmp_path / "talk.jsonl", [{"messages": said}] * 2), tmp_path / "x"
    for message, call in (
        ("no chat template", lambda: tune(base, talk, out)),
        ("--template none has nothing to write them in", lambda: tune(talking, talk, out, template="none")),
        ("the template nowhere.jinja cannot be read", lambda: tune(talking, talk, out, template="nowhere.jinja")),
        ("lora must be", lambda: tune(base, pairs, out, lora=-1)),
        (r"lora\.targets: no matrix is called 'x'", lambda: tune(base, pairs, out, 'lora.targets=["x"]', lora=2)),
        ("as a model to start from answers them", lambda: train([talk] * 200, out=out, steps=2)),
    ):
        with pytest.raises(UserError, match=message):
            call()
        assert not (tmp_path / "x").exists()


def test_a_base_that_is_gone_is_named(base, pairs, tmp_path):
    moved = tmp_path / "base"
    shutil.copytree(base, moved)
    run = tune(moved, pairs, tmp_path / "run", lora=2, steps=2)
    shutil.rmtree(moved)
    with pytest.raises(UserError, match=r"is of the base .*base, which is not here"):
        ud.load(run.directory)
