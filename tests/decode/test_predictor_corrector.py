"""Predictor–corrector: what a correction costs and touches. Stationarity is in exact/laws/correctors.py."""

import itertools

import pytest
import torch
from toy import VOCABULARY, predictor

from undiffuse.decode.canvas import start
from undiffuse.decode.correctors.informed import Informed
from undiffuse.decode.loop import walk
from undiffuse.decode.strategies.predictor_corrector import PredictorCorrector
from undiffuse.errors import UserError
from undiffuse.kinds import CORRECTORS


def run(strategy, destination="mask", steps=6):
    canvas = start(torch.zeros(12, dtype=torch.long), torch.ones(12) > 0, key=2, steps=steps)
    return [after for after, _ in walk(predictor(destination), canvas, strategy)]


@pytest.mark.slow
@pytest.mark.parametrize("destination", ["mask", "uniform", "mix"])
@pytest.mark.parametrize("kind", CORRECTORS.kinds)
def test_every_correction_but_those_after_the_last_step_is_an_evaluation(kind, destination):
    for corrections in (1, 3):
        done = run(PredictorCorrector(corrector=kind, corrections=corrections), destination)[-1]
        assert int(done.nfe) == 6 + 5 * corrections
        assert (done.ids != VOCABULARY.mask).all()


@pytest.mark.parametrize("count", [1, 3])
def test_informed_changes_as_many_tokens_as_it_may(count):
    seen = run(PredictorCorrector(corrector=Informed(count), corrections=1), "uniform", steps=5)
    moved = [int((a.ids != b.ids).sum()) for a, b in itertools.pairwise(seen)]
    corrections = moved[1::2]
    assert max(corrections) <= count
    assert sum(corrections) > 0


def test_what_cannot_be_is_refused():
    for options, message in (
        ({"corrections": 0}, "corrections must be at least 1"),
        ({"predictor": "confidence"}, "takes reverse steps"),
        ({"corrector": "gibs"}, "did you mean 'gibbs'"),
    ):
        with pytest.raises(UserError, match=message):
            PredictorCorrector(**options)
    with pytest.raises(UserError, match="count must be at least 1"):
        Informed(0)
    with pytest.raises(UserError, match="temperature of corrector 'informed'"):
        Informed(temperature=0.0)
