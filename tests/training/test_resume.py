"""A run that was stopped in any way ends in the same bits as one that was not."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import STEPS

from undiffuse import load
from undiffuse.errors import UserError
from undiffuse.training.metrics import read_metrics
from undiffuse.training.run import resume

HERE = Path(__file__).parent
RARELY, ALWAYS = 20, 0  # seconds between checkpoints


def untimed(run: Path) -> list[dict]:
    return [{k: v for k, v in line.items() if k != "time"} for line in read_metrics(run / "metrics.jsonl")]


def weights(run: Path) -> bytes:
    return (run / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_sigkill_at_any_moment(tmp_path):
    draw = random.Random(0)
    moments = [
        [ALWAYS, "flush", 1],  # the directory does not exist yet
        [ALWAYS, "flush", 3],
        [RARELY, "tokenizing", 0],
        [RARELY, "training", 13],  # lines, but no checkpoint
        [ALWAYS, "training", 13],
        [ALWAYS, "validating", STEPS],
        [ALWAYS, "reporting", STEPS],
        *([ALWAYS, "flush", draw.randrange(8, 130)] for _ in range(2)),  # between the writes of a checkpoint
        [ALWAYS, "time", 0.1 + 0.3 * draw.random()],
    ]
    done = subprocess.run(
        [sys.executable, HERE / "killing.py", tmp_path, json.dumps(moments)],
        capture_output=True,
        text=True,
        env=os.environ | {"TOKENIZERS_PARALLELISM": "false"},
    )
    assert done.returncode == 0, done.stderr
    whole, *outcomes = json.loads(done.stdout)
    for moment, outcome in zip(moments, outcomes, strict=True):
        assert outcome["killed"] or moment[1] == "time"
        assert outcome["result"] == whole or not outcome["began"], moment
    assert [outcome["began"] for outcome in outcomes[:-1]] == [False, False, *[True] * (len(moments) - 3)]


@pytest.mark.slow
def test_ctrl_c_saves_a_model_and_the_run_goes_on(train_tiny, tmp_path):
    whole = train_tiny(out=tmp_path / "whole")
    assert whole.complete

    def interrupt(report):
        if (report.phase, report.step) == ("training", 7):
            os.kill(os.getpid(), signal.SIGINT)

    stopped = train_tiny(progress=interrupt)
    assert (stopped.step, stopped.steps, stopped.complete) == (7, STEPS, False)
    assert load(stopped.directory).manifest["training"]["step"] == 7
    assert "7 of 24 steps" in (stopped.directory / "report.md").read_text()

    resumed = resume(stopped.directory)
    assert resumed.complete
    assert weights(resumed.directory) == weights(whole.directory)
    assert untimed(resumed.directory) == untimed(whole.directory)


def test_a_second_ctrl_c_is_not_held_back(train_tiny):
    def interrupt_twice(report):
        if (report.phase, report.step) == ("training", 3):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            train_tiny(progress=interrupt_twice)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
def test_a_finished_run_is_extended_at_the_full_learning_rate(train_tiny):
    run = train_tiny()
    before = weights(run.directory)
    with pytest.raises(UserError, match="is finished: extend it with --minutes or --steps"):
        resume(run.directory)
    longer = resume(run.directory, steps=20)
    assert (longer.step, longer.steps, longer.complete) == (STEPS + 20, STEPS + 20, True)
    assert weights(run.directory) != before
    rates = {line["step"]: line["learning_rate"] for line in untimed(run.directory) if "learning_rate" in line}
    assert rates[STEPS] < 0.1 < 0.6 < rates[30]  # the fall to zero ended at 24; the new one, to 44, has just begun
    assert rates[44] < 0.1
    assert longer.model.manifest["training"]["ends"] == [STEPS, 44]
    assert "went back to its peak" in (run.directory / "report.md").read_text()
    longest = resume(run.directory, minutes=0.01)
    assert longest.complete
    assert longest.steps >= 44 + 10


def test_an_unfinished_run_is_not_extended(train_tiny, tmp_path):
    def interrupt(report):
        if (report.phase, report.step) == ("training", 2):
            os.kill(os.getpid(), signal.SIGINT)

    run = train_tiny(progress=interrupt)
    with pytest.raises(UserError, match="is not finished: resume it without --minutes and --steps first"):
        resume(run.directory, minutes=1.0)


def test_only_runs_are_resumed(tmp_path, train_tiny):
    with pytest.raises(UserError, match="is not the directory of a run"):
        resume(tmp_path)
    (tmp_path / "run.json").write_text('{"format": 99}')
    with pytest.raises(UserError, match="has format 99, and this version of undiffuse reads 1 to 3"):
        resume(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(UserError, match="is damaged"):
        resume(tmp_path)


@pytest.mark.slow
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_works(train_tiny, tmp_path):
    whole = train_tiny(out=tmp_path / "whole")

    def interrupt(report):
        if (report.phase, report.step) == ("training", 12):
            os.kill(os.getpid(), signal.SIGINT)

    run = train_tiny("training.checkpoint_seconds=0", progress=interrupt).directory
    older, newer = sorted((run / "checkpoints").iterdir())
    tensors = newer / "tensors.safetensors"
    content = bytearray(tensors.read_bytes())
    content[-5] ^= 1
    tensors.write_bytes(content)
    with pytest.raises(UserError, match=f"{newer} is damaged .*: delete that directory to go on from the one before"):
        resume(run)
    for file in newer.iterdir():
        file.unlink()
    newer.rmdir()
    assert older.exists()
    assert weights(resume(run).directory) == weights(whole.directory)
