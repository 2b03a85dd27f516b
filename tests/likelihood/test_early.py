"""Noise levels half by the share of noise: finite at the ends of every schedule, and spread as F says."""

import pytest
import torch

from undiffuse.kinds import SCHEDULES, build_process
from undiffuse.likelihood.early import Early
from undiffuse.likelihood.windows import windows
from undiffuse.objective.times.shared_offset import SharedOffset
from undiffuse.process.prediction import Prediction
from undiffuse.randomness import Draws
from undiffuse.vocabulary import Vocabulary

VOCABULARY = Vocabulary(6, mask=5)
TEXT = windows([[0, 1, 2, 3]] * 64, 4)


def process(schedule="one-minus-t", destination="uniform", **more):
    spec = {"schedule": {"kind": schedule}, "destination": {"kind": destination}}
    return build_process(spec | more, VOCABULARY)


@pytest.mark.parametrize("schedule", SCHEDULES.kinds)
@pytest.mark.parametrize("destination", ["mask", "uniform"])
@pytest.mark.parametrize("u", [0.0, 1e-7, 0.5, 1 - 2.0**-24])
def test_the_integrand_is_finite_at_every_level(monkeypatch, schedule, destination, u):
    monkeypatch.setattr(SharedOffset, "quantiles", lambda self, cells, draws: torch.full(cells.slot.shape, u))
    if destination == "mask" and SCHEDULES.load(schedule)().ends[1] > 0:
        pytest.skip("such noise is refused")
    noise = process(schedule, destination)
    noised = Early().noise(noise, TEXT, Draws.seeded(0), 64)
    logits = torch.zeros(*TEXT.ids.shape, 6, dtype=torch.float64)
    prediction = Prediction(logits, "leave_one_out", lambda: noise.log_likelihood(noised.state, noised.t))
    assert Early().integrand(noise, prediction, noised).isfinite().all()


@pytest.mark.parametrize("steps", [2, 5, 50])
def test_steps_are_drawn_as_often_as_times_fall_into_them(steps):
    """Step k of linear noise ends at ν = (k − 1)/(T − 1), F = (ν + √ν)/2; the first is the reconstruction's."""
    noise = process(kind="discrete", steps=steps)
    drawn = [Early().noise(noise, TEXT, Draws.seeded(seed), 64).t[:, 0] for seed in range(40)]
    found = torch.bincount((torch.cat(drawn) * steps).round().long(), minlength=steps + 1) / 2560
    share = torch.arange(steps, dtype=torch.float64) / (steps - 1)
    ends = (share + share.sqrt()) / 2
    assert found[:2].tolist() == [0, 0]
    torch.testing.assert_close(found[2:].double(), ends.diff(), atol=0.01, rtol=0)
