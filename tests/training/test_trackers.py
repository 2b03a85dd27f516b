"""Trackers get the numbers of metrics.jsonl, and say what to install where their package is missing."""

import os
import signal
import sys
from types import SimpleNamespace

import pytest
from tiny import STEPS

from undiffuse.errors import UserError
from undiffuse.training.metrics import read_metrics
from undiffuse.training.run import resume
from undiffuse.training.trackers.tracker import numbers


def test_numbers_of_a_record():
    record = {"step": 3, "nats": 1.5, "objective": {"kind": "bound"}, "buckets": [0.5, None], "time": {"seconds": 2}}
    assert numbers(record) == {"nats": 1.5, "buckets/0": 0.5, "time/seconds": 2}


def test_tensorboard_shows_what_metrics_hold_also_after_an_interruption(train_tiny):
    loading = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def interrupt(report):
        if (report.phase, report.step) == ("training", 12):
            os.kill(os.getpid(), signal.SIGINT)

    run = train_tiny("training.track=tensorboard", progress=interrupt)
    resume(run.directory)
    shown = loading.EventAccumulator(str(run.directory / "tensorboard"))
    shown.Reload()
    lines = read_metrics(run.directory / "metrics.jsonl")
    written: dict[str, list[tuple[int, float]]] = {}
    for line in lines:
        for name, value in numbers(line).items():
            written.setdefault(name, []).append((line["step"], value))
    assert set(shown.Tags()["scalars"]) == written.keys()
    assert written
    for name, points in written.items():
        found = [(event.step, event.value) for event in shown.Scalars(name)]
        assert found == [(step, pytest.approx(value, rel=1e-6)) for step, value in points], name
    assert [step for step, _ in written["gradient_norm"]] == [10, 20, STEPS]


class FakeWandb(SimpleNamespace):
    """Notes what it is told."""

    def __init__(self):
        super().__init__(begun=[], logged=[], finished=0)

    def init(self, **settings):
        self.begun.append(settings)
        return SimpleNamespace(log=lambda values, step: self.logged.append((step, values)), finish=self.finish)

    def finish(self):
        self.finished += 1


def test_wandb_is_offline_unless_told_otherwise_and_keeps_the_identity_of_a_run(train_tiny, monkeypatch):
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    run = train_tiny("training.track=wandb", steps=12)
    monkeypatch.setenv("WANDB_MODE", "online")
    resume(run.directory, steps=4)
    first, second = fake.begun
    assert (first["mode"], second["mode"]) == ("offline", "online")
    assert first["id"] == second["id"]
    assert first["dir"] == str(run.directory)
    assert first["config"]["training"]["track"] == "wandb"
    lines = read_metrics(run.directory / "metrics.jsonl")
    assert fake.logged == [(line["step"], numbers(line)) for line in lines]
    assert fake.finished == 2


@pytest.mark.parametrize("kind", ["tensorboard", "wandb"])
def test_a_missing_package_is_an_error_that_names_the_extra(train_tiny, monkeypatch, tmp_path, kind):
    monkeypatch.setitem(sys.modules, kind, None)
    with pytest.raises(UserError, match=rf"training\.track={kind} needs .* pip install 'undiffuse\[{kind}\]'"):
        train_tiny(f"training.track={kind}")
    assert not (tmp_path / "run").exists()


def test_an_unknown_tracker_is_refused(train_tiny):
    with pytest.raises(UserError, match="there is no tracker 'tensorbord'; did you mean 'tensorboard'"):
        train_tiny("training.track=tensorbord")
