"""Invariants of decoding, for every strategy in the catalogue, on canvases drawn at random."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import VOCABULARY, every_strategy, predictor, strategies

from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.loop import denoise, walk
from undiffuse.decode.strategies.edit import Edit
from undiffuse.decode.strategies.predictor_corrector import PredictorCorrector
from undiffuse.errors import UserError
from undiffuse.kinds import STRATEGIES
from undiffuse.process.needs import require


def accepts(kind: str, destination: str) -> bool:
    try:
        require(every_strategy()[kind].needs, predictor(destination).process)
    except UserError:
        return False
    return True


CASES = [
    (kind, destination)
    for kind in STRATEGIES.kinds
    for destination in ("mask", "uniform", "mix")
    if accepts(kind, destination) and (destination != "mix" or accepts(kind, "uniform") or kind == "confidence")
]


def evaluations_per_step(strategy) -> int:
    return 1 + strategy.corrections if isinstance(strategy, PredictorCorrector) else 1


def steps_held_open(strategy, canvas: Canvas) -> torch.Tensor:
    """Steps after the last mask of each window, of the strategy that exchanges tokens there."""
    windows = (canvas.steps > 0).sum(-1)
    return windows * (strategy.most_edits + 1) if isinstance(strategy, Edit) else torch.zeros_like(windows)


each_strategy = pytest.mark.parametrize(("kind", "destination"), CASES)


@st.composite
def canvases(draw) -> Canvas:
    """One to three requests with fixed text, holes, windows and steps."""
    rows = []
    for number in range(draw(st.integers(1, 3))):
        pending = torch.tensor(draw(st.lists(st.booleans(), min_size=1, max_size=9).filter(any)))
        fixed = st.sampled_from(VOCABULARY.predictable)
        ids = torch.tensor(draw(st.lists(fixed, min_size=len(pending), max_size=len(pending))))
        block = draw(st.sampled_from([None, 1, 2, 4]))
        steps = draw(st.sampled_from([None, 9, 12]))
        rows.append(start(ids, pending, key=number + draw(st.integers(0, 99)), steps=steps, block_length=block))
    state = random.getstate()  # which item of a list is looked at is drawn by what checks types
    whole = Canvas.concatenate(rows)
    random.setstate(state)
    return whole


@pytest.mark.slow
@each_strategy
@settings(max_examples=10)
@given(canvas=canvases())
def test_every_strategy_keeps_the_invariants(kind, destination, canvas):
    model, strategy = predictor(destination), every_strategy()[kind]
    before, steps = canvas, 0
    for after, happened in walk(model, canvas, strategy):
        if steps:
            window = before.window
            touched = (after.ids != before.ids) | (after.pending != before.pending)
            assert not (touched & ~window).any(), "I4: nothing outside the window changes"
            assert not (touched & ~before.editable).any(), "I2: fixed text never changes"
            if strategy.progressive:
                progress = (before.pending & ~after.pending).any(-1)
                assert (progress | before.done).all(), "I1: every step commits something"
            assert (happened.committed <= (before.pending | happened.revised)).all()
            assert torch.equal(happened.nfe, after.nfe)
        before, steps = after, steps + 1
    assert after.done.all()
    assert torch.equal(after.ids[~canvas.editable], canvas.ids[~canvas.editable]), "I2"
    allowed = torch.zeros(VOCABULARY.rows, dtype=torch.bool)
    allowed[list(VOCABULARY.predictable)] = True
    assert allowed[after.ids[canvas.editable]].all(), "I3: no control row is emitted"
    bound = torch.maximum(canvas.steps.sum(-1), canvas.pending.sum(-1)) * evaluations_per_step(strategy)
    bound += steps_held_open(strategy, canvas)
    assert (after.step <= bound).all(), "I5: the bound on steps"
    if not isinstance(strategy, Edit):  # which has no use for planned steps
        assert (bound <= strategy.most_steps(canvas)).all()
    assert (after.nfe <= after.step).all()
    assert (after.commit_step[canvas.editable] >= 0).all()
    assert (after.commit_logp[canvas.editable] < 0).all()


@pytest.mark.slow
@each_strategy
@settings(max_examples=10)
@given(canvas=canvases())
def test_a_request_does_not_depend_on_its_batch_mates(kind, destination, canvas):
    together = _last(predictor(destination), canvas, every_strategy()[kind])
    for row in range(len(canvas.ids)):
        alone = _last(predictor(destination), canvas.select(torch.tensor([row])), every_strategy()[kind])
        assert torch.equal(alone.ids[0], together.ids[row])
        assert torch.equal(alone.commit_step[0], together.commit_step[row])
        assert torch.equal(alone.nfe[0], together.nfe[row])


@pytest.mark.slow
@each_strategy
def test_padding_does_not_change_a_request(kind, destination):
    pending = torch.tensor([0, 1, 1, 0, 1, 1, 1]).bool()
    short = start(torch.tensor([1, 0, 0, 2, 0, 0, 0]), pending, key=5)
    long = start(torch.zeros(20, dtype=torch.long), torch.ones(20).bool(), key=6)
    alone = _last(predictor(destination), short, every_strategy()[kind])
    padded = _last(predictor(destination), Canvas.concatenate([short, long]), every_strategy()[kind])
    assert torch.equal(padded.ids[0, :7], alone.ids[0])
    assert not padded.valid[0, 7:].any()


@pytest.mark.slow
def test_network_calls_equal_evaluations_counted():
    for strategy in strategies().values():
        model = predictor()
        done = _last(model, start(torch.zeros(12, dtype=torch.long), torch.ones(12).bool(), key=3, steps=30), strategy)
        assert model.denoiser.calls == int(done.nfe[0])


def test_ancestral_steps_without_a_jump_cost_nothing():
    model = predictor()
    canvas = start(torch.zeros(6, dtype=torch.long), torch.ones(6).bool(), key=1, steps=200)
    done = _last(model, canvas, strategies()["ancestral"])
    assert int(done.step[0]) > 100
    assert model.denoiser.calls <= 6


def test_ties_go_to_the_lowest_position_and_the_lowest_token():
    model = predictor(sharpness=0.0)  # every token equally likely everywhere
    canvas = start(torch.zeros(5, dtype=torch.long), torch.ones(5).bool(), key=0)
    for kind in (
        *("confidence", "left-to-right", "threshold", "factor", "dynamic", "certified"),
        *("entropy-bounded", "maskgit-plus", "topk-margin", "entropy"),
    ):
        done = _last(model, canvas, strategies()[kind])
        assert done.commit_step[0].tolist() == [0, 1, 2, 3, 4]
        assert done.ids[0].tolist() == [VOCABULARY.predictable[0]] * 5


def test_strategies_that_need_a_mask_refuse_uniform_noise():
    canvas = start(torch.zeros(5, dtype=torch.long), torch.ones(5).bool(), key=0)
    refused = [kind for kind in STRATEGIES.kinds if not accepts(kind, "uniform")]
    assert {"confidence", "factor", "origin"} <= set(refused)
    for kind in refused:
        with pytest.raises(UserError, match=r"mask|vectors"):
            next(denoise(predictor("uniform"), canvas, every_strategy()[kind]))


def _last(model, canvas, strategy) -> Canvas:
    return [after for after, _ in walk(model, canvas, strategy)][-1]
