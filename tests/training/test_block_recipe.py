"""Block diffusion from files to a finished run, and an objective that is tuned on the way."""

import json

import pytest
import torch

from undiffuse import load
from undiffuse.errors import UserError
from undiffuse.training.metrics import read_metrics
from undiffuse.training.recipe import resolve
from undiffuse.training.run import resume

SEARCH = ("objective=clipped", "objective.times=equal-count")


def found(run) -> list[list[float]]:
    lines = read_metrics(run.directory / "metrics.jsonl")
    return [line["objective"]["clip"] for line in lines if "validation" in line]


@pytest.mark.slow
def test_the_recipe_trains_resumes_scores_and_generates(train_tiny, tmp_path):
    run = train_tiny("model.block_length=4", recipe="block", steps=8)
    report = (run.directory / "report.md").read_text()
    assert "context 16 tokens in blocks of 4, one after the other" in report
    assert "undiffuse fill" not in report
    assert "undiffuse generate" in report
    resumed = resume(run.directory, steps=4)
    assert (resumed.step, resumed.steps) == (12, 12)
    model = load(run.directory)
    assert model.predictor.traits.block_length == 4
    before, after = (m.score("ab jc d" * 9, seed=1).nats_per_token for m in (resumed.model, model))
    assert before == after
    assert model.generate(length=40, seed=1)[0].text == resumed.model.generate(length=40, seed=1)[0].text


def test_a_search_is_part_of_the_run(train_tiny, tmp_path):
    """Every validation repeats it, metrics and report say what it found, and it is never called a bound."""
    run = train_tiny(*SEARCH, recipe="block")
    intervals = found(run)
    assert len(intervals) == 2
    assert all(low >= 0 and 0.5 <= round(high - low, 9) <= 0.9 and high <= 1 for low, high in intervals)
    training = run.model.manifest["training"]
    assert not training["loss_is_bound"]
    assert training["configuration"]["objective"]["clip"] == "search"
    report = (run.directory / "report.md").read_text()
    low, high = intervals[-1]
    assert f"clipped (mask ratios {low:.2f} to {high:.2f}), muon" in report
    assert "this objective is no bound" in report
    assert "training (no bound), bits per byte" in report
    assert training["bound"]["kind"] == "bound"


@pytest.mark.slow
def test_a_run_with_a_search_resumes_bit_for_bit(train_tiny, tmp_path):
    """Interrupted after the first search, whose result the checkpoint holds, and before the second."""
    whole = train_tiny(*SEARCH, recipe="block", out=tmp_path / "whole")

    class StopError(Exception):
        pass

    def stop(report):
        if (report.phase, report.step) == ("training", 16):
            raise StopError

    with pytest.raises(StopError):
        train_tiny(*SEARCH, "training.checkpoint_seconds=0", recipe="block", progress=stop)
    (newest,) = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))[-1:]
    facts = json.loads((newest / "state.json").read_text())["facts"]
    assert facts["objective"]["clip"] == found(whole)[0]
    resumed = resume(tmp_path / "run")
    assert found(resumed) == found(whole)
    assert (resumed.directory / "model.safetensors").read_bytes() == (
        whole.directory / "model.safetensors"
    ).read_bytes()


def test_ends_can_be_given(train_tiny):
    run = train_tiny("objective=clipped", "objective.clip=[0.2, 0.9]", recipe="block", steps=4)
    assert run.model.manifest["training"]["objective"]["clip"] == [0.2, 0.9]
    report = (run.directory / "report.md").read_text()
    assert "clipped (mask ratios 0.20 to 0.90)" in report
    assert "This likelihood is an extrapolation" in report
    assert "On the other 30 % of the range the network was never trained" in report
    assert torch.isfinite(torch.tensor(run.model.manifest["training"]["bound"]["nats_per_token"]["mean"]))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["objective=clipped", "objective.clip=[0.9, 0.2]"],
            r"objective 'clipped': clip must be \"search\" or two mask",
        ),
        (["objective=clipped", "objective.clip=find"], r"objective.clip = 'find'"),
        (["objective=clipped", "process.schedule=cos"], "needs masked noise with schedule 'one-minus-t'"),
        (["model.block_length=0"], "block_length must be at least 1"),
        (["objective.times.per=token"], "times.per = 'token'"),
    ],
)
def test_settings_that_cannot_work_are_refused(overrides, message):
    with pytest.raises(UserError, match=message):
        resolve("block", overrides)
