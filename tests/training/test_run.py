"""`train` from files to a finished directory, and everything that it refuses."""

import errno
import io
import json
import math
import os
import re
import resource
import sys

import pytest
import torch
from tiny import SETTINGS, STEPS

from undiffuse import load
from undiffuse.cli import main
from undiffuse.errors import UserError
from undiffuse.text.tokenizer import Tokenizer
from undiffuse.training import run as runs
from undiffuse.training.plan import Budget
from undiffuse.training.planning import make_plan
from undiffuse.training.run import resume, train
from undiffuse.training.run_directory import RunDirectory


def test_a_finished_run_holds_everything(train_tiny, text):
    run = train_tiny(seed=3)
    held = {path.name for path in run.directory.iterdir()}
    assert held == {
        *("model.safetensors", "manifest.json", "tokenizer.json", "metrics.jsonl", "checkpoints", "report.md"),
        *("run.json", "plan.json", "text.jsonl"),
    }
    training = json.loads((run.directory / "manifest.json").read_text())["training"]
    assert (training["step"], training["ends"], training["seed"]) == (STEPS, [STEPS], 3)
    assert training["files"] == [str(text)]
    assert training["configuration"]["model"]["width"] == 16
    assert training["bound"]["bits_per_byte"]["stderr"] > 0
    size = len(text.read_text())
    assert size / 20 < training["text"]["valid"]["bytes"] < size / 8
    model = load(run.directory)
    for name, weight in model.predictor.denoiser.state_dict().items():
        assert torch.equal(weight, run.model.predictor.denoiser.state_dict()[name]), name


def test_the_model_on_disk_is_the_averaged_one(train_tiny):
    """Weights averaged with decay 0 are the last ones; with a decay near 1 they are still near the first."""
    last, slow = (train_tiny(f"training.ema={decay}", out=None) for decay in (0.0, 0.999))
    weights = [run.model.predictor.denoiser.state_dict() for run in (last, slow)]
    assert not torch.equal(*(w["unembedding.weight"] for w in weights))
    assert weights[0]["unembedding.weight"].norm() > weights[1]["unembedding.weight"].norm()


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_and_another_does_not(train_tiny, tmp_path):
    one, same, other = (train_tiny(out=tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    content = [(run.directory / "model.safetensors").read_bytes() for run in (one, same, other)]
    assert content[0] == content[1] != content[2]


def test_runs_are_named_after_their_text_and_never_overwritten(train_tiny, tmp_path):
    names = [train_tiny(out=None, steps=1).directory.name for _ in range(3)]
    assert names == ["text", "text-2", "text-3"]
    with pytest.raises(UserError, match=r"runs/text exists already: choose another --out, or .* --resume runs/text"):
        train_tiny(out="runs/text")


def test_standard_input_and_held_out_text_of_its_own(text, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.read_bytes())))
    own = tmp_path / "valid.txt"
    own.write_text("a jb cid\n" * 40)
    run = train("-", valid=own, steps=2, overrides=SETTINGS, threads=1)
    assert run.directory.name == "stdin"
    described = run.model.manifest["training"]["text"]
    assert described["valid"]["bytes"] == 9 * 40
    assert described["train"]["bytes"] == len(text.read_bytes())


@pytest.mark.slow
def test_minutes_are_planned_once_and_kept(train_tiny):
    run = train_tiny(steps=None, minutes=0.02)
    plan = json.loads((run.directory / "plan.json").read_text())
    (course,) = plan["courses"]
    assert course["ends"] == [run.steps]
    assert run.steps >= 10
    assert 0 < course["seconds_per_step"] < 1
    assert 0.12 <= course["until"] <= 1.2
    assert course["threads"] is None


@pytest.mark.parametrize(("seconds", "left"), [(30.0, 0.5), (90.0, 0.1)])
def test_minutes_begin_before_the_tokenizer_is_trained(train_tiny, monkeypatch, seconds, left):
    """A tenth of them is for training whatever a tokenizer takes."""
    clock, trained, planned = [0.0], Tokenizer.train, []

    def slow(texts, size, least_count):
        clock[0] += seconds
        return trained(texts, size)

    def plan(assembly, budget, threads):
        planned.append(budget)
        return make_plan(assembly, Budget(steps=1), threads)

    monkeypatch.setattr(runs, "monotonic", lambda: clock[0])
    monkeypatch.setattr(Tokenizer, "train", slow)
    monkeypatch.setattr(runs, "make_plan", plan)
    train_tiny(steps=None, minutes=1.0)
    assert planned == [Budget(minutes=left)]


def test_the_training_of_a_tokenizer_is_shown(train_tiny, monkeypatch, text):
    """Part by part, and in these parts a tokenizer learns what it learns from the whole."""
    text.write_text(text.read_text() * 40)
    monkeypatch.setattr(runs, "SHOWN_BYTES", 1 << 16)
    seen = []
    run = train_tiny(steps=1, progress=seen.append)
    shown = [(progress.step, progress.steps) for progress in seen if progress.phase == "tokenizing"]
    total = run.model.manifest["training"]["text"]["train"]["bytes"]
    assert {steps for _, steps in shown} == {total}
    done = [step for step, _ in shown]
    assert done == sorted(set(done))
    assert total - (1 << 17) < done[-1] <= total
    document = RunDirectory.open(run.directory).text[0].documents[0].text
    assert Tokenizer.train([document], 280).merges == run.model.tokenizer.merges


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is empty"), (b"\xff" * 999, "not UTF-8"), (b"a\x00" * 999, "control byte 0x00"), (b"short", "too little")],
)
def test_bad_text_leaves_nothing_behind(tmp_path, content, message):
    bad = tmp_path / "bad.txt"
    bad.write_bytes(content)
    with pytest.raises(UserError, match=message):
        train(bad, steps=1)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.txt"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 1, "minutes": 1.0}, "minutes or steps, not both"),
        ({"steps": 0}, "steps must be at least 1, not 0"),
        ({"steps": 1, "dtype": torch.float16}, "training.dtype = 'float16'"),
        ({"steps": 1, "overrides": ["model.widht=3"]}, "did you mean 'width'"),
        ({"steps": 1, "recipe": "mdml"}, "there is no recipe 'mdml'"),
    ],
)
def test_wrong_settings_leave_nothing_behind(text, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        train(text, **options)
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


LARGE = 1 << 20  # more than a checkpoint or the metrics of a tiny run


def full_disk(*arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_at_the_beginning_leaves_nothing_behind(train_tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(UserError, match=r"cannot write .*: No space left on device"):
        train_tiny()
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


@pytest.mark.slow
@pytest.mark.parametrize("where", ["checkpoint", "metrics", "end"])
def test_after_a_full_disk_the_run_goes_on(train_tiny, tmp_path, where):
    whole = train_tiny(out=tmp_path / "whole")
    when = ("reporting", STEPS) if where == "end" else ("training", 17)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.MonkeyPatch.context() as patch:

        def fill_disk(report):
            if (report.phase, report.step) != when:
                return
            if where != "metrics":
                patch.setattr(os, "fsync", full_disk)
            else:
                # the system itself refuses the next line: the file is as large as it may be
                (tmp_path / "run" / "metrics.jsonl").write_bytes(b" " * LARGE)
                resource.setrlimit(resource.RLIMIT_FSIZE, (LARGE, limits[1]))

        with pytest.raises(UserError, match=r"cannot write .*: (No space left on device|File too large); what was"):
            train_tiny("training.checkpoint_seconds=0", progress=fill_disk)
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    run = tmp_path / "run"
    assert not (run / "manifest.json").exists()
    assert len(list((run / "checkpoints").glob("step-*"))) == 2
    assert not list(run.rglob(".partial-*"))
    resumed = resume(run)
    assert (run / "model.safetensors").read_bytes() == (whole.directory / "model.safetensors").read_bytes()
    assert resumed.complete


def test_a_bound_whose_perplexity_is_beyond_all_numbers_ends_no_run(text, tmp_path, train_tiny, capsys):
    """Diffusion-LM with long vectors, hardly trained: above 709 nats per token, and e^709 is all that a float holds."""
    run = train_tiny("model.latent=64", recipe="diffusion-lm", steps=2)
    assert main.run(["score", str(text), "--model", str(run.directory), "--draws", "2"]) == 0
    assert re.search(r"bits per byte   \d{3,5}\.\d{4} .*\n.*\nperplexity      inf", capsys.readouterr().out)
    bound = run.model.manifest["training"]["bound"]
    assert bound["perplexity"] == {"value": None, "low": None, "high": None}
    assert bound["nats_per_token"]["mean"] > 709
    bits = bound["nats_per_token"]["mean"] / math.log(2) * bound["tokens"] / bound["bytes"]
    assert bound["bits_per_byte"]["mean"] == pytest.approx(bits)
    for name in ("manifest.json", "metrics.jsonl"):
        assert "Infinity" not in (run.directory / name).read_text()
    assert resume(run.directory, steps=4).complete
    assert main.run(["score", str(text), "--model", str(run.directory), "--draws", "2"]) == 0
    assert re.search(r"perplexity      (inf|\d\.\d\de\+\d\d\d) ", capsys.readouterr().out)
