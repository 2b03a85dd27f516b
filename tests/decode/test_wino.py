"""WINO: what is drafted, what is taken back, and that shadow rows read what they say they read, also with a cache."""

import itertools

import pytest
import torch
from toy import predictor

from undiffuse.decode.caches.dual import Dual
from undiffuse.decode.caches.none import NoCache
from undiffuse.decode.caches.prefix import Prefix
from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.decoder import Decoder
from undiffuse.decode.loop import walk
from undiffuse.decode.passes import Sites, run
from undiffuse.decode.strategies.wino import Wino
from undiffuse.errors import UserError
from undiffuse.kinds import DESTINATIONS, SCHEDULES
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating
from undiffuse.vocabulary import Vocabulary

VOCABULARY = Vocabulary(13, mask=12, eos=11)


def real(depth: int = 2) -> Predictor:
    torch.manual_seed(0)
    network = Transformer(TransformerConfig(rows=13, width=24, depth=depth, heads=2, context=64))
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    process = Interpolating(VOCABULARY, SCHEDULES.load("one-minus-t")(), DESTINATIONS.load("mask")())
    return Predictor(network.requires_grad_(False), process, "leave_one_out")


def blank(length: int, **options) -> Canvas:
    return start(torch.zeros(length, dtype=torch.long), torch.ones(length) > 0, key=3, **options)


def counts(canvases) -> list[tuple[int, int]]:
    """Drafted and taken back, step by step."""
    found = []
    for before, after in itertools.pairwise(canvases):
        drafted = before.pending & ~after.pending
        found.append((int(drafted.sum()), int((~before.pending & after.pending).sum())))
    return found


@pytest.mark.parametrize(("draft", "verify"), [(0.3, 0.9), (0.1, 1.0), (0.05, 0.5)])
def test_drafts_are_bounded_and_fewer_come_back_than_the_step_before_drafted(draft, verify):
    steps = counts([c for c, _ in walk(predictor(), blank(30), Wino(draft, verify))])
    assert len(steps) <= 30
    assert sum(taken for _, taken in steps) > 0
    left, previous = 30, 0
    for drafted, taken in steps:
        assert 1 <= drafted <= min(max(int(0.7 * left), 5), 20)
        assert taken <= max(previous - 1, 0)
        assert drafted > 1 or not taken
        left, previous = left - drafted + taken, drafted


def test_what_comes_back_is_below_the_threshold_of_a_mask_in_its_place():
    """One layer: the shadow row is the network with that token masked, where nothing else is pending beside it."""
    model = real(depth=1)
    canvas = blank(9)
    ids = torch.arange(9)[None] % 11
    decided = canvas.replace(ids=ids, pending=torch.zeros(1, 9) > 0)
    sites = Sites.of(torch.tensor([[False] * 4 + [True] + [False] * 4]))
    t = torch.zeros(1, 9, dtype=torch.float64)
    shadow = run(model, decided, sites, t, decided.valid, shadowed=torch.tensor([[True]]))[0]
    masked = decided.replace(ids=ids.masked_fill(torch.arange(9) == 4, VOCABULARY.mask))
    # the row of the mask sees itself, the shadow row sees itself: the same in one layer
    alone = run(model, masked, sites, t, masked.valid)[0]
    torch.testing.assert_close(shadow, alone, atol=1e-5, rtol=1e-5)


def test_real_rows_do_not_see_shadows():
    model, canvas = real(), blank(9)
    every = Sites.of(canvas.valid)
    t = torch.zeros(1, 9, dtype=torch.float64)
    plain = run(model, canvas, every, t, canvas.valid)[0]
    beside = run(model, canvas, every, t, canvas.valid, shadowed=torch.zeros(1, 9) > 0)[0]
    torch.testing.assert_close(plain, beside, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("cache", [Prefix(), Dual()])
def test_at_a_refresh_shadow_rows_with_a_cache_are_those_without(cache):
    model, canvas = real(), blank(12, block_length=12)
    canvas = canvas.replace(ids=torch.arange(12)[None] % 11)
    every, t = Sites.of(canvas.valid), torch.zeros(1, 12, dtype=torch.float64)
    shadowed = torch.arange(12)[None] % 2 == 0
    kv = cache.memory(model, canvas, 1, True)
    plain = run(model, canvas, every, t, canvas.valid, shadowed=shadowed)[0]
    for _ in range(2):  # keys of shadow rows of the pass before must not be seen
        cached = run(model, canvas, every, t, canvas.valid, kv, shadowed)[0]
        torch.testing.assert_close(plain, cached, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("cache", [Prefix(), Dual()])
def test_one_window_is_decoded_the_same_with_a_cache_that_reruns_it(cache):
    model, canvas, strategy = real(), blank(14, block_length=14), Wino(0.2, 0.9)
    plain, cached = ([c for c, _ in walk(model, canvas, Decoder(strategy, how))][-1] for how in (NoCache(), cache))
    assert torch.equal(plain.ids, cached.ids)
    assert torch.equal(plain.commit_step, cached.commit_step)


def test_windows_with_a_dual_cache_end_within_the_bound():
    done = [c for c, _ in walk(real(), blank(24, block_length=6), Decoder(Wino(0.2, 0.9), Dual()))][-1]
    assert done.done.all()
    assert int(done.step) <= 24


def test_bad_thresholds_are_refused():
    for options, message in (({"draft": 0.0}, "draft must be positive"), ({"verify": 1.5}, "verify must lie in")):
        with pytest.raises(UserError, match=message):
            Wino(**options)
