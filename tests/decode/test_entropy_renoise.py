"""Entropy-bound renoising against the acceptance rule spelled out, and its ways to end."""

from dataclasses import replace

import pytest
import torch
from toy import predictor

from undiffuse.decode.canvas import start
from undiffuse.decode.loop import walk
from undiffuse.decode.proposal import Filters
from undiffuse.decode.strategies.entropy_renoise import EntropyRenoise
from undiffuse.errors import UserError
from undiffuse.process.needs import require


def accepted(entropy: list[float], bound: float) -> list[bool]:
    """Going up from the lowest entropy, a position is kept while what was kept before it adds up to the bound."""
    kept, total = [False] * len(entropy), 0.0
    for i in sorted(range(len(entropy)), key=lambda i: (entropy[i], i)):
        if total > bound:
            break
        kept[i] = True
        total += entropy[i]
    return kept


@pytest.mark.parametrize("bound", [0.0, 0.1, 1.0, 100.0])
def test_acceptance_is_the_rule(bound):
    torch.manual_seed(1)
    entropy = (1e4 * torch.rand(50, 9, dtype=torch.float64) ** 3).round() / 1e4  # equal, or apart
    entropy[:, 3] = entropy[:, 5]
    live = torch.rand(50, 9) < 0.8
    found = EntropyRenoise(bound).accepted(entropy, live)
    for row, (h, ok) in enumerate(zip(entropy.tolist(), live.tolist(), strict=True)):
        expected = iter(accepted([v for v, k in zip(h, ok, strict=True) if k], bound))
        assert found[row].tolist() == [k and next(expected) for k in ok]


def canvases(strategy, model=None):
    canvas = start(torch.zeros(10, dtype=torch.long), torch.ones(10) > 0, key=5, steps=12)
    return [after for after, _ in walk(model or predictor("uniform"), canvas, strategy)]


def test_everything_is_pending_to_the_end():
    seen = canvases(EntropyRenoise(settled=1e-9))
    assert len(seen) == 13
    assert all(canvas.pending.all() for canvas in seen[:-1])
    assert seen[-1].commit_step.tolist() == [[11] * 10]


def test_it_ends_early_once_the_best_text_stands_still():
    """A network that says the same whatever it sees, with an entropy of ln 9."""
    model = replace(predictor("uniform", sharpness=0.0), head="posterior")
    assert int(canvases(EntropyRenoise(settled=3.0), model)[-1].step) == 2
    assert int(canvases(EntropyRenoise(settled=3.0, stability=4), model)[-1].step) == 5
    assert int(canvases(EntropyRenoise(settled=1.0), model)[-1].step) == 12


def test_bad_options_and_masks_are_refused():
    for options, message in (
        ({"entropy_bound": -1.0}, "entropy_bound must be 0 or more"),
        ({"cold": 0.9}, "0 < cold ≤ temperature"),
        ({"filters": Filters()}, "0 < cold ≤ temperature"),
        ({"settled": 0.0}, "settled must be positive"),
        ({"stability": 0}, "stability must be at least 1"),
    ):
        with pytest.raises(UserError, match=message):
            EntropyRenoise(**options)
    for destination in ("mask", "mix"):
        with pytest.raises(UserError, match="puts a mask"):
            require(EntropyRenoise().needs, predictor(destination).process)
