"""P2: how many masks each step leaves and which they are, and what becomes of it where no token is doubted."""

import itertools

import pytest
import torch
from toy import VOCABULARY, predictor

from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.loop import walk
from undiffuse.decode.proposal import Filters
from undiffuse.decode.strategies.confidence import Confidence
from undiffuse.decode.strategies.p2 import P2
from undiffuse.errors import UserError
from undiffuse.types import State, Tags


def blank(length: int, **options) -> Canvas:
    return start(torch.zeros(length, dtype=torch.long), torch.ones(length) > 0, key=3, **options)


def zero(canvas: Canvas) -> torch.Tensor:
    return torch.zeros(canvas.ids.shape)


def states(canvas: Canvas, strategy) -> list[Canvas]:
    return [canvas for canvas, _ in walk(predictor(), canvas, strategy)]


@pytest.mark.parametrize("eta", [0.0, 1.0, 4.0])
@pytest.mark.parametrize(("length", "steps"), [(12, 12), (12, 5), (5, 12), (7, 1)])
def test_masks_left_after_each_step(length, steps, eta):
    found = [int(canvas.pending.sum()) for canvas in states(blank(length, steps=steps), P2(eta))]
    expected = [length * (steps - i) // steps for i in range(steps + 1)]
    assert found == expected[: expected.index(0) + 1]


@pytest.mark.parametrize("filters", [Filters(), Filters(temperature=1.0), Filters(0.7, top_k=3, confidence="filtered")])
@pytest.mark.parametrize("steps", [12, 6, 3])
def test_without_doubt_it_is_confidence(steps, filters):
    ours, known = (states(blank(12, steps=steps), cls(filters=filters))[-1] for cls in (_certain, Confidence))
    assert torch.equal(ours.ids, known.ids)
    assert torch.equal(ours.commit_step, known.commit_step)
    torch.testing.assert_close(ours.commit_logp, known.commit_logp)


def _certain(filters: Filters) -> P2:
    return P2(0.0, filters)


@pytest.mark.parametrize("eta", [0.3, 1.0, 4.0])
def test_the_worst_are_masks(eta):
    """Replayed: the masks after a step have the least log p, of proposals as it is, of tokens that stand times η."""
    model, taken_back = predictor(), 0
    for before, after in itertools.pairwise(states(blank(14, steps=10), P2(eta))):
        rows = model.rows(State(before.ids), zero(before), Tags(before.positions), before.editable)
        logits = model.denoiser.head(model.run(rows))[0].double()
        logits[:, [VOCABULARY.mask, *VOCABULARY.reserved]] = -torch.inf
        log_p, pending = logits.log_softmax(-1), before.pending[0]
        standing = log_p.gather(-1, before.ids[0, :, None])[:, 0] * eta
        score = torch.where(pending, log_p.amax(-1), standing)
        worst = score.argsort(stable=True)[: int(after.pending.sum())]
        assert set(worst.tolist()) == set(after.pending[0].nonzero()[:, 0].tolist())
        newly = pending & ~after.pending[0]
        assert torch.equal(after.ids[0, newly], log_p.argmax(-1)[newly])
        taken_back += int((~pending & after.pending[0]).sum())
    assert taken_back or eta < 1


def test_tokens_that_were_given_stay():
    ids, pending = torch.tensor([1, 0, 2, 0, 0, 3, 0]), torch.tensor([0, 1, 0, 1, 1, 0, 1]).bool()
    done = states(start(ids, pending, key=0, steps=9), P2(5.0))[-1]
    assert torch.equal(done.ids[0, ~pending], ids[~pending])
    assert not done.pending.any()


@pytest.mark.parametrize("eta", [-0.1, float("inf"), float("nan")])
def test_what_eta_cannot_be(eta):
    with pytest.raises(UserError, match="eta must be 0 or more"):
        P2(eta)
