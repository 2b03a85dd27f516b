"""What each strategy does, against plain-Python accounts of the published rules."""

import itertools
import math

import pytest
import torch
from toy import VOCABULARY, every_strategy, predictor, strategies

from undiffuse.decode.canvas import spread, start
from undiffuse.decode.loop import walk
from undiffuse.decode.proposal import Filters
from undiffuse.decode.strategies.ancestral import Ancestral
from undiffuse.decode.strategies.confidence import Confidence
from undiffuse.decode.strategies.factor import Factor
from undiffuse.decode.strategies.left_to_right import LeftToRight
from undiffuse.decode.strategies.random import Random
from undiffuse.decode.strategies.remdm import Remdm
from undiffuse.decode.strategies.threshold import Threshold
from undiffuse.errors import UserError
from undiffuse.randomness import Draws
from undiffuse.types import State, Tags


def counts(canvas, strategy, model=None) -> list[int]:
    """How many positions each step commits."""
    return [int(event.committed.sum()) for _, event in walk(model or predictor(), canvas, strategy)][1:]


def blank(length: int, **options):
    return start(torch.zeros(length, dtype=torch.long), torch.ones(length).bool(), key=options.pop("key", 7), **options)


def test_transfer_counts_are_those_of_llada():
    """32 tokens over 12 steps: eight threes, then four twos (the remainder goes to the earliest steps)."""
    for strategy in (Confidence(), Random(), LeftToRight()):
        assert counts(blank(32, steps=12), strategy) == [3] * 8 + [2] * 4


def test_more_steps_than_tokens_waste_no_evaluation():
    assert counts(blank(5, steps=40), Confidence()) == [1] * 5


def test_blocks_are_finished_from_left_to_right():
    events = [event for _, event in walk(predictor(), blank(10, block_length=4), Confidence())]
    order = [event.committed[0].nonzero()[:, 0].tolist() for event in events[1:]]
    blocks = [position // 4 for step in order for position in step]
    assert blocks == sorted(blocks)


def test_windows_tile_the_span_of_holes_and_skip_empty_ones():
    pending = torch.zeros(14).bool()
    pending[[2, 3, 12]] = True
    canvas = start(torch.zeros(14, dtype=torch.long), pending, key=0, block_length=4)
    assert canvas.window_number[0, pending].tolist() == [0, 0, 1]
    assert canvas.steps.tolist() == [[2, 1]]


@pytest.mark.parametrize(("steps", "sizes"), [(7, [4, 4, 4]), (3, [1, 9, 1]), (24, [4, 4, 4]), (10, [1, 30, 2])])
def test_steps_are_spread_in_proportion(steps, sizes):
    found = spread(steps, torch.tensor(sizes)).tolist()
    assert sum(found) == steps
    assert min(found) >= 1
    shares = [1 + (steps - len(sizes)) * size / sum(sizes) for size in sizes]
    assert all(abs(a - b) <= 1 for a, b in zip(found, shares, strict=True))


def test_left_to_right_is_in_order():
    done = [canvas for canvas, _ in walk(predictor(), blank(6), LeftToRight())][-1]
    assert done.commit_step[0].tolist() == [0, 1, 2, 3, 4, 5]


def test_confidence_commits_the_most_probable_first():
    """Replayed step by step: the committed set is the quota's best by the softmax of the logits."""
    model = predictor()
    canvases = [canvas for canvas, _ in walk(model, blank(8, steps=3), Confidence())]
    for before, after in itertools.pairwise(canvases):
        p = _posterior(model, before)
        newly = (before.pending & ~after.pending)[0]
        best = p.amax(-1).masked_fill(~before.pending[0], -1)
        assert set(best.topk(int(newly.sum())).indices.tolist()) == set(newly.nonzero()[:, 0].tolist())
        assert torch.equal(after.ids[0][newly], p.argmax(-1)[newly])
        torch.testing.assert_close(after.commit_logp[0][newly], best.log()[newly])


def test_threshold_commits_what_reaches_it_or_the_best_one():
    model = predictor()
    canvases = [canvas for canvas, _ in walk(model, blank(12), Threshold(0.3))]
    for before, after in itertools.pairwise(canvases):
        best = _posterior(model, before).amax(-1).masked_fill(~before.pending[0], -1)
        expected = best >= 0.3
        if not expected.any():
            expected[best.argmax()] = True
        assert torch.equal((before.pending & ~after.pending)[0], expected)


def test_threshold_above_one_is_one_token_a_step():
    one, confidence = (_run(blank(9), s) for s in (Threshold(1.5), Confidence()))
    assert torch.equal(one.ids, confidence.ids)
    assert torch.equal(one.commit_step, confidence.commit_step)


@pytest.mark.slow
def test_one_block_is_the_full_window():
    for strategy in strategies().values():
        whole, block = (_run(blank(9, block_length=size), strategy) for size in (None, 9))
        assert torch.equal(whole.ids, block.ids)
        assert torch.equal(whole.commit_step, block.commit_step)


@pytest.mark.slow
def test_every_pair_of_strategies_differs():
    """No strategy is another under a new name: on two canvases all orders or texts differ.

    Factor 1 and `certified` part only where (n + 1)(1 − c_n) is 1 exactly, or tokens are excluded. `tweedie` is the
    same chain as `ancestral` unless a score is free (a law of `verify`); `led-threshold` parts from `threshold` where
    attention has blocks (Fast-dLLM v2's recorded runs).
    """
    results = {}
    for kind, strategy in {**strategies(), "factor": Factor(2.0), "remdm": Remdm(eta=0.5)}.items():
        if kind in ("tweedie", "led-threshold"):
            continue
        runs = (_run(blank(13, steps=5), strategy, predictor(sharpness=sharpness)) for sharpness in (1.0, 12.0))
        results[kind] = [(done.ids.tolist(), done.commit_step.tolist()) for done in runs]
    for a, b in itertools.combinations(results, 2):
        assert results[a] != results[b], (a, b)


def test_documentation_says_what_is_heuristic():
    for kind, strategy in every_strategy().items():
        assert strategy.exact or "heuristic" in (type(strategy).__doc__ or "").lower(), kind


def test_ancestral_reveals_binomially():
    """On an even grid of N steps every position's time is uniform over the steps (α = 1 − t)."""
    keys = Draws.seeded(3).at(torch.arange(100)).key
    many = blank(20, steps=8).select(torch.zeros(100).long()).replace(key=keys)
    done = _run(many, Ancestral(), predictor(sharpness=0.0))
    share = torch.bincount(done.commit_step.flatten(), minlength=8) / 2000
    assert (share - 1 / 8).abs().max() < 4 * math.sqrt(1 / 8 * 7 / 8 / 2000)


def test_top_p_keeps_the_boundary_token_and_top_k_the_best():
    log_p = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    assert _kept(Filters(1.0, top_p=0.6), log_p) == [0, 1]
    assert _kept(Filters(1.0, top_p=0.49), log_p) == [0]
    assert _kept(Filters(1.0, top_p=0.51), log_p) == [0, 1]
    assert _kept(Filters(1.0, top_k=3), log_p) == [0, 1, 2]
    assert _kept(Filters(1.0, top_k=3, top_p=0.7), log_p) == [0, 1]
    hot = Filters(2.0).apply(log_p).exp()
    torch.testing.assert_close(hot, log_p.exp().sqrt() / log_p.exp().sqrt().sum())


def test_filtered_confidence_ranks_by_the_filtered_probability():
    """Top-k 1 makes every filtered confidence 1, so positions go in order; the raw one tells them apart."""
    raw = _run(blank(9), Confidence(Filters(1.0, top_k=1)))
    filtered = _run(blank(9), Confidence(Filters(1.0, top_k=1, confidence="filtered")))
    assert filtered.commit_step[0].tolist() == list(range(9))
    assert raw.commit_step[0].tolist() != list(range(9))


def test_bad_numbers_are_refused():
    for options, message in (
        ({"temperature": -1.0}, "temperature must be 0 or more, not -1.0"),
        ({"temperature": math.inf}, "temperature"),
        ({"top_k": 0}, "top-k must be at least 1, not 0"),
        ({"top_p": 0.0}, "top-p must lie in"),
        ({"top_p": 1.5}, "top-p must lie in"),
    ):
        with pytest.raises(UserError, match=message):
            Filters(**options)
    with pytest.raises(UserError, match="threshold must be positive, not 0"):
        Threshold(0.0)
    with pytest.raises(UserError, match=r"use temperature 0\.1"):
        Ancestral(Filters(temperature=0.0))


def _run(canvas, strategy, model=None):
    return [after for after, _ in walk(model or predictor(), canvas, strategy)][-1]


def _kept(filters, log_p) -> list[int]:
    return filters.apply(log_p).isfinite().nonzero()[:, 0].tolist()


def _posterior(model, canvas):
    """Probabilities at every position of request 0, by the definition: softmax over predictable rows."""
    tags = Tags(canvas.positions, live=canvas.valid)
    hidden = model.run(model.rows(State(canvas.ids), torch.zeros(canvas.ids.shape), tags, canvas.editable))
    logits = model.denoiser.head(hidden)[0]
    keep = list(VOCABULARY.predictable)
    p = torch.zeros_like(logits)
    p[:, keep] = logits[:, keep].softmax(-1)
    return p


def test_top_k_comes_before_top_p():
    """Dream's order is the other: there the nucleus .4, .3 is that of all tokens, and top-k 2 leaves both."""
    log_p = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    assert Filters(top_k=2, top_p=0.5).apply(log_p).exp().tolist() == [1, 0, 0, 0]
    dream = Filters(top_k=2).apply(Filters(top_p=0.5).apply(log_p)).exp()
    assert dream.tolist() == pytest.approx([4 / 7, 3 / 7, 0, 0])
