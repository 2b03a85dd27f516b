"""What a cache's fidelity is: nothing for exact ones, and the textbook KL for others."""

from dataclasses import dataclass

import pytest
import torch
from test_caches import predictor, request

from undiffuse.decode.caches.block import Block
from undiffuse.decode.caches.dual import Dual
from undiffuse.decode.caches.none import NoCache
from undiffuse.decode.caches.prefix import Prefix
from undiffuse.decode.canvas import Canvas
from undiffuse.decode.fidelity import fidelity, trajectory
from undiffuse.decode.strategies.confidence import Confidence
from undiffuse.errors import UserError
from undiffuse.types import State, Tags

STRATEGY = Confidence()


def two(**options) -> Canvas:
    """Two requests of different length, which end at different steps."""
    return Canvas.concatenate([request(5, 12, 0, **options), request(3, 8, 1, **options)])


def test_exact_caches_give_zero():
    network = predictor(block_length=4)
    canvases = trajectory(network, two(span=4), STRATEGY)
    found = fidelity(network, canvases, STRATEGY, Block())
    assert len(found.kl) == len(canvases) - 1
    assert found.kl.abs().max() < 1e-9
    assert found.flips.sum() == 0
    assert found.rows.sum() < found.everything.sum()


def test_no_cache_is_exact_and_runs_everything():
    network = predictor()
    canvases = trajectory(network, two(), STRATEGY)
    found = fidelity(network, canvases, STRATEGY, NoCache())
    assert found.mean_kl == found.flip_share == 0
    assert found.row_share == 1
    # 12 + 11 + … and 8 + 7 + … pending positions
    assert found.sites.sum() == 78 + 36


def test_an_approximate_cache_is_exact_where_a_window_begins_and_runs_the_window_elsewhere():
    network = predictor()
    canvases = trajectory(network, request(5, 12, block_length=4), STRATEGY)
    found = fidelity(network, canvases, STRATEGY, Dual())
    fresh = torch.arange(12) % 4 == 0
    assert found.kl[fresh].abs().max() < 1e-9
    assert found.kl[~fresh].min() > 1e-6
    assert found.rows.tolist() == [17 if begins else 4 for begins in fresh.tolist()]
    assert found.everything.tolist() == [17] * 12
    suffix = fidelity(network, canvases, STRATEGY, Prefix())
    assert suffix.rows.tolist() == [17, 12, 12, 12, 17, 8, 8, 8, 17, 4, 4, 4]


@dataclass(frozen=True)
class Blind(NoCache):
    """Leaves the first token out of the text."""

    def recompute(self, canvas, kv):
        return canvas.valid & (canvas.positions > 0)


def test_the_divergence_is_the_one_of_the_text_book():
    network = predictor()
    canvases = trajectory(network, request(5, 6), STRATEGY)[:1]
    found = fidelity(network, canvases, STRATEGY, Blind())
    canvas = canvases[0]
    t, yes = canvas.pending.double(), torch.ones_like(canvas.pending)
    logits = []
    for valid in (yes, canvas.positions > 0):
        hidden = network.run(network.rows(State(canvas.ids), t, Tags(canvas.positions, live=valid), canvas.editable))
        logits.append(network.denoiser.head(hidden)[0, 5:, :12].double())  # the last row is the mask
    p, q = (each.log_softmax(-1) for each in logits)
    expected = torch.nn.functional.kl_div(q, p, log_target=True, reduction="sum")
    assert found.kl.item() == pytest.approx(expected.item(), rel=1e-6)
    assert found.flips.item() == (p.argmax(-1) != q.argmax(-1)).sum()
    assert found.sites.item() == 6


def test_a_cache_that_the_network_cannot_have_is_refused_first():
    network = predictor()
    canvases = trajectory(network, request(5, 6), STRATEGY)
    with pytest.raises(UserError, match="needs a network trained by block diffusion"):
        fidelity(network, canvases, STRATEGY, Block())
