"""A canvas may begin anywhere: noisy at a time, with certain tokens in it, or with a text that may be edited."""

import pytest
import torch
from table import Table
from toy import VOCABULARY, predictor

from undiffuse.decode.canvas import GIVEN, Canvas, start
from undiffuse.decode.loop import walk
from undiffuse.decode.strategies.ancestral import Ancestral
from undiffuse.decode.strategies.confidence import Confidence
from undiffuse.decode.strategies.first_hitting import FirstHitting
from undiffuse.decode.strategies.origin import Origin
from undiffuse.decode.strategies.remdm import Remdm
from undiffuse.decode.strategies.wino import Wino
from undiffuse.errors import UserError
from undiffuse.kinds import DESTINATIONS, SCHEDULES
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating

TOKENS = torch.tensor(VOCABULARY.predictable)
COUNT, BEGINS = 6000, 0.6


def last(model: Predictor, canvas: Canvas, strategy) -> Canvas:
    return [after for after, _ in walk(model, canvas, strategy)][-1]


@pytest.mark.parametrize("steps", [1, 6])
def test_from_a_noisy_token_the_chain_draws_from_its_posterior(steps):
    """p(x | z) ∝ p(x) q(z | x), with q(z | x) = 1 − t at z = x, and t/K everywhere."""
    size = len(TOKENS)
    p = torch.arange(1.0, size + 1, dtype=torch.float64) / (size * (size + 1) / 2)
    logits = torch.full((1, VOCABULARY.rows), -torch.inf, dtype=torch.float64)
    logits[0, TOKENS] = p.log()
    process = Interpolating(VOCABULARY, SCHEDULES.load("one-minus-t")(), DESTINATIONS.load("uniform")())
    model = Predictor(Table(logits), process, "leave_one_out")
    one = start(TOKENS[2:3], torch.ones(1, dtype=torch.bool), key=0, steps=steps, begins=BEGINS)
    canvas = one.select(torch.zeros(COUNT, dtype=torch.long)).replace(key=torch.arange(COUNT))
    found = last(model, canvas, Ancestral())
    likely = torch.full((size,), BEGINS / size, dtype=torch.float64)
    likely[2] += 1 - BEGINS
    expected = p * likely / (p * likely).sum()
    share = (found.ids == TOKENS).double().mean(0)
    assert ((share - expected).abs() < 4.5 * (expected * (1 - expected) / COUNT).sqrt()).all()


def noisy(**plan) -> Canvas:
    ids = torch.tensor([1, VOCABULARY.mask, 2, VOCABULARY.mask, VOCABULARY.mask, 3])
    return start(ids, torch.ones(6, dtype=torch.bool), key=1, **plan)


@pytest.mark.parametrize("strategy", [Ancestral(), Confidence(), FirstHitting(), Origin(), Remdm(eta=0.0)])
def test_what_is_seen_under_masked_noise_is_certain(strategy):
    states = [after for after, _ in walk(predictor(), noisy(begins=0.5), strategy)]
    assert states[0].pending[0].tolist() == [False, True, False, True, True, False]
    assert states[-1].ids[0, [0, 2, 5]].tolist() == [1, 2, 3]
    assert states[-1].commit_step[0, [0, 2, 5]].tolist() == [GIVEN] * 3
    assert (states[-1].ids != VOCABULARY.mask).all()


def test_times_lead_from_the_beginning_to_zero():
    process, canvas = predictor().process, noisy(begins=0.5, steps=4)
    steps = [Ancestral().step(process, canvas.replace(clock=torch.tensor([clock]))) for clock in range(4)]
    assert [float(step.t) for step in steps] == [0.5, 0.375, 0.25, 0.125]
    assert [float(step.s) for step in steps] == [0.375, 0.25, 0.125, 0.0]
    held = FirstHitting().step(process, noisy(begins=0.5))
    assert 0 < float(held.t) < 0.5


def test_decided_tokens_may_be_edited_where_that_is_allowed():
    """Wino takes back a token that nothing supports, and never fixed text."""
    ids = torch.tensor([1, 2, 3, 5, 0, 0, 0, 0])
    pending = torch.arange(8) >= 4
    canvas = start(ids, pending, key=0, editable=torch.arange(8) >= 2)
    done = last(predictor(sharpness=9.0), canvas, Wino(draft=0.01, verify=1.0))
    assert done.ids[0, :2].tolist() == [1, 2]
    kept = canvas.editable & ~canvas.pending
    assert (done.commit_step[kept] == GIVEN).logical_or(done.commit_step[kept] >= 0).all()
    assert done.done.all()


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match=r"in \(0, 1\], not at 0"):
        noisy(begins=0.0)
    with pytest.raises(UserError, match="make them editable"):
        start(torch.zeros(2, dtype=torch.long), torch.ones(2).bool(), key=0, editable=torch.zeros(2).bool())
    with pytest.raises(UserError, match="begins with noise alone"):
        last(predictor(), noisy(begins=0.5), Remdm(mode="loop"))
