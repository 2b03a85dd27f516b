"""ReMDM: modes, what is refused, and when a window ends. Its laws are in exact/laws/remasking.py."""

import pytest
import torch
from toy import VOCABULARY, predictor

from undiffuse.decode.canvas import start
from undiffuse.decode.loop import walk
from undiffuse.decode.proposal import Filters
from undiffuse.decode.strategies.remdm import Remdm
from undiffuse.errors import UserError
from undiffuse.process.needs import require


def run(strategy, steps: int = 20, length: int = 12):
    canvas = start(torch.zeros(length, dtype=torch.long), torch.ones(length) > 0, key=5, steps=steps)
    return list(walk(predictor(), canvas, strategy))


@pytest.mark.parametrize(
    "strategy",
    [Remdm("cap", 0.2), Remdm("rescale", 0.3), Remdm("confidence"), Remdm("loop", 0.2)],
    ids=lambda s: s.mode,
)
def test_tokens_come_back_as_masks_and_none_is_left(strategy):
    seen = run(strategy)
    revised = sum(int((event.revised & event.pending).sum()) for _, event in seen)
    assert revised > 0
    for canvas, _ in seen[1:]:  # a mask is pending; at most one token is kept open
        masks = canvas.ids == VOCABULARY.mask
        assert (masks <= canvas.pending).all()
        assert int((canvas.pending & ~masks).sum()) <= 1
    last = seen[-1][0]
    assert int(last.step) == 20
    assert (last.ids != VOCABULARY.mask).all()


def test_without_remasking_the_steps_are_ancestral():
    """η = 0: as many masks after each step as the process has on average, never one more than before."""
    left = [int((canvas.ids == VOCABULARY.mask).sum()) for canvas, _ in run(Remdm("cap", 0.0), length=40)]
    assert left == sorted(left, reverse=True)


def test_steps_that_change_nothing_cost_nothing():
    seen = run(Remdm("cap", 0.0), steps=200)
    assert int(seen[-1][0].step) > 100
    assert int(seen[-1][0].nfe) <= 12 + 1


def test_impossible_options_are_refused():
    for options, message in (
        ({"mode": "caps"}, "did you mean 'cap'"),
        ({"eta": 1.5}, "eta must lie in"),
        ({"mode": "confidence", "eta": 0.1}, "has no eta"),
        ({"on": 0.5}, "describe mode 'loop'"),
        ({"mode": "loop", "on": 0.1, "off": 0.2}, "off < on"),
        ({"mode": "loop", "plateau": 1.0}, "plateau must lie"),
        ({"filters": Filters()}, "'wino' revises"),
    ):
        with pytest.raises(UserError, match=message):
            Remdm(**options)
    with pytest.raises(UserError, match="the mask alone"):
        require(Remdm().needs, predictor("mix").process)
    assert Remdm().exact
    assert not Remdm("loop").exact
