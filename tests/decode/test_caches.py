"""Caches on the real network: what is exact stays exact, and what approximates reads what it says it reads."""

from collections import Counter

import pytest
import torch

from undiffuse.decode.caches.auto import Auto
from undiffuse.decode.caches.block import Block
from undiffuse.decode.caches.dllm import DLLM
from undiffuse.decode.caches.dual import Dual
from undiffuse.decode.caches.none import NoCache
from undiffuse.decode.caches.prefix import Prefix
from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.decoder import Decoder, Limits
from undiffuse.decode.guidance.prompt import Prompt
from undiffuse.decode.loop import walk
from undiffuse.decode.passes import Sites, run
from undiffuse.decode.strategies.confidence import Confidence
from undiffuse.decode.strategies.threshold import Threshold
from undiffuse.errors import UserError
from undiffuse.kinds import DESTINATIONS, SCHEDULES
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating
from undiffuse.types import State, Tags
from undiffuse.vocabulary import Vocabulary

VOCABULARY = Vocabulary(13, mask=12, eos=11)


def predictor(seed: int = 0, **config) -> Predictor:
    torch.manual_seed(seed)
    network = Transformer(TransformerConfig(rows=13, width=24, depth=3, heads=2, context=64, **config))
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    process = Interpolating(VOCABULARY, SCHEDULES.load("one-minus-t")(), DESTINATIONS.load("mask")())
    return Predictor(network.requires_grad_(False), process, "leave_one_out")


def request(prompt: int, length: int, key: int = 0, **options) -> Canvas:
    ids = torch.cat((torch.arange(prompt) % 11, torch.zeros(length, dtype=torch.long)))
    return start(ids, torch.arange(prompt + length) >= prompt, key=key, **options)


def last(model: Predictor, canvas: Canvas, decoder: Decoder) -> Canvas:
    return [after for after, _ in walk(model, canvas, decoder)][-1]


@pytest.mark.parametrize("strategy", [Confidence(), Threshold(0.3)])
def test_the_block_cache_gives_what_no_cache_gives(strategy):
    model = predictor(block_length=4)
    canvas = Canvas.concatenate([request(p, n, key=p, span=4) for p, n in ((0, 12), (5, 11), (8, 3), (3, 21))])
    plain, cached = (last(model, canvas, Decoder(strategy, cache)) for cache in (NoCache(), Block()))
    assert torch.equal(plain.ids, cached.ids)
    assert torch.equal(plain.commit_step, cached.commit_step)
    assert torch.equal(plain.nfe, cached.nfe)
    torch.testing.assert_close(plain.commit_logp, cached.commit_logp, atol=1e-5, rtol=1e-5)
    assert (cached.rows <= plain.rows).all()


def test_the_block_cache_runs_every_row_once_clean_and_its_block_once_per_step():
    done = last(predictor(block_length=4), request(8, 8, span=4), Decoder(Confidence(), Block()))
    # prompt once, four steps of the first block, then its clean rows with the first of four steps of the second
    assert int(done.nfe) == 8
    assert int(done.rows) == 8 + 4 * 4 + 4 + 4 * 4


@pytest.mark.parametrize("cache", [Prefix(), Dual()])
def test_one_window_with_nothing_before_it_is_exact_under_a_cache_that_reruns_it(cache):
    model, canvas = predictor(), request(0, 9, block_length=9)
    plain, cached = (last(model, canvas, Decoder(Confidence(), c)) for c in (NoCache(), cache))
    assert torch.equal(plain.ids, cached.ids)
    assert torch.equal(plain.commit_step, cached.commit_step)


@pytest.mark.parametrize(("cache", "inner"), [(Prefix(), 12 + 8 + 4), (Dual(), 4 + 4 + 4)])
def test_approximate_caches_run_everything_once_per_window(cache, inner):
    done = last(predictor(), request(6, 12, block_length=4), Decoder(Confidence(), cache))
    assert int(done.nfe) == 12
    assert int(done.rows) == 3 * 18 + 3 * inner, "three windows, each with three more steps after its refresh"


@pytest.mark.slow
@pytest.mark.parametrize("cache", [NoCache(), Prefix(), Dual(), Block()])
@pytest.mark.parametrize("guidance", [None, Prompt(scale=2.0)])
def test_cached_requests_do_not_depend_on_their_batch_mates(cache, guidance):
    block = isinstance(cache, Block)
    model = predictor(block_length=4 if block else None)
    tiles = [{"span": 4} if block else {"block_length": n} for n in (4, 3, 8)]
    canvases = [request(p, n, key=p, **tile) for (p, n), tile in zip(((4, 12), (2, 5), (7, 16)), tiles, strict=True)]
    decoder = Decoder(Threshold(0.5), cache, guidance)
    together = last(model, Canvas.concatenate(canvases), decoder)
    for row, canvas in enumerate(canvases):
        alone = last(model, canvas, decoder)
        length = canvas.ids.shape[1]
        assert torch.equal(alone.ids[0], together.ids[row, :length])
        assert torch.equal(alone.commit_step[0], together.commit_step[row, :length])
        assert alone.nfe[0] == together.nfe[row]
        assert alone.rows[0] == together.rows[row]


def test_rows_are_what_the_network_ran():
    for cache in (NoCache(), Prefix(), Dual()):
        model, ran = predictor(), Counter()
        model.denoiser.embedding.register_forward_hook(lambda _, args, out, ran=ran: ran.update([args[0].numel()]))
        done = last(model, request(6, 12, block_length=4), Decoder(Confidence(), cache))
        assert ran.total() == int(done.nfe)
        assert sum(rows * times for rows, times in ran.items()) == int(done.rows)


def test_shifted_networks_read_the_row_before():
    model, canvas = predictor(output_offset=-1), request(5, 12, block_length=4)
    plain = last(model, canvas, Decoder(Confidence()))
    cached = last(model, canvas, Decoder(Confidence(), Dual()))
    extra = int(cached.rows) - 3 * 17 - 9 * 4
    assert 0 < extra <= 9, "the row before a window, while its first position is pending"
    first = plain.commit_step[0, 5:9] == 0
    assert torch.equal(plain.ids[0, 5:9][first], cached.ids[0, 5:9][first])


def test_guidance_of_scale_one_changes_nothing_and_zero_ignores_the_prompt():
    model = predictor()
    plain = last(model, request(6, 8), Decoder(Confidence()))
    assert torch.equal(plain.ids, last(model, request(6, 8), Decoder(Confidence(), guidance=Prompt(scale=1.0))).ids)
    blind = last(model, request(6, 8), Decoder(Confidence(), guidance=Prompt(scale=0.0)))
    other = request(6, 8).replace(ids=torch.where(request(6, 8).editable, 0, 7))
    assert torch.equal(
        blind.ids[0, 6:], last(model, other, Decoder(Confidence(), guidance=Prompt(scale=0.0))).ids[0, 6:]
    )


def test_a_budget_ends_with_a_complete_text():
    model = predictor()
    for limit in (1, 3, 8, 50):
        done = last(model, request(4, 10), Decoder(Confidence(), limits=Limits(max_nfe=limit)))
        assert done.done.all()
        assert int(done.nfe) == min(limit, 10)
        assert (done.ids[0, 4:] != 12).all()
    assert int(last(model, request(4, 10), Decoder(Confidence(), limits=Limits(deadline_ms=1e-6))).nfe) == 1


def test_a_stop_token_cancels_what_follows_once_nothing_before_it_is_open():
    model = predictor()
    plain = last(model, request(4, 10), Decoder(Confidence()))
    token = int(plain.ids[0, 6])
    done = last(model, request(4, 10), Decoder(Confidence(), stop=(token,)))
    cancelled = done.commit_step[0] == -2
    first = int((done.ids[0, 4:] == token).nonzero()[0]) + 4
    assert not cancelled[: first + 1].any()
    assert done.done.all()


def test_banned_tokens_are_never_written():
    model = predictor()
    plain = last(model, request(4, 10), Decoder(Confidence()))
    banned = tuple({int(token) for token in plain.ids[0, 4:]})[:3]
    done = last(model, request(4, 10), Decoder(Confidence(), banned=banned))
    assert not torch.isin(done.ids[0, 4:], torch.tensor(banned)).any()


def test_caches_are_refused_where_they_mean_nothing():
    with pytest.raises(UserError, match="trained by block diffusion"):
        last(predictor(), request(4, 8), Decoder(Confidence(), Block()))
    for cache in (Prefix(), Dual()):
        with pytest.raises(UserError, match="use cache 'block'"):
            last(predictor(block_length=4), request(4, 8, span=4), Decoder(Confidence(), cache))


def test_features_that_are_always_due_change_nothing():
    model = predictor()
    canvas = Canvas.concatenate([request(6, 12, key=1, block_length=4), request(3, 7, key=2, block_length=7)])
    plain = last(model, canvas, Decoder(Confidence()))
    for always in (DLLM(prompt_interval=1, response_interval=1), DLLM(1, 50, adaptive=1.0)):
        cached = last(model, canvas, Decoder(Confidence(), always))
        assert torch.equal(plain.ids, cached.ids)
        assert torch.equal(plain.commit_step, cached.commit_step)
        torch.testing.assert_close(plain.commit_logp, cached.commit_logp, atol=1e-5, rtol=1e-5)


def test_features_recompute_the_share_that_was_asked_for():
    model = predictor()
    done = last(model, request(8, 12), Decoder(Confidence(), DLLM(50, 4, adaptive=0.25)))
    # everything in the first step; then of three layers the first runs all 20 rows, the others what is due
    due = [20 if step == 0 else 12 if step % 4 == 0 else 3 for step in range(12)]
    assert int(done.rows) == sum((20 + 2 * rows + 1) // 3 for rows in due)
    alone = last(model, request(8, 12), Decoder(Confidence(), DLLM(50, 50, adaptive=0.0)))
    assert int(alone.rows) < int(done.rows)


@pytest.mark.parametrize("adaptive", [0.0, 0.25])
def test_at_a_share_of_zero_nothing_of_the_response_is_renewed(adaptive):
    """The first layer sees every token; of later ones neither keys nor values move, where a share renews all values."""
    model, canvas, cache = predictor(), request(4, 12), DLLM(50, 50, adaptive)
    kept = cache.memory(model, canvas, 1, shadows=False)

    def passed(tokens: Canvas) -> list[torch.Tensor]:
        run(model, tokens, Sites.of(tokens.pending), tokens.pending.double(), cache.recompute(tokens, kept), kept)
        return [kept.keys[1:, 0, :, 4:].clone(), kept.values[1:, 0, :, 4:].clone()]

    first = passed(canvas)
    second = passed(canvas.replace(ids=canvas.ids + canvas.pending, step=canvas.step + 1))
    moved = [(a != b).any(-1).any(1).sum(-1).tolist() for a, b in zip(first, second, strict=True)]
    assert moved == ([[0, 0], [0, 0]] if adaptive == 0 else [[3, 3], [12, 12]])


def test_rows_whose_values_moved_are_chosen():
    model = predictor()
    ids = torch.arange(10)[None] % 11
    tags = Tags(torch.arange(10)[None], live=torch.ones(1, 10, dtype=torch.bool))
    changed = ids.clone()
    changed[0, 4] = 12

    def error(count: int) -> float:
        """How far the row of the changed token is from a pass over everything, when `count` rows are renewed."""
        kept = model.denoiser.features(1, 10)
        kept.due.fill_(True)
        kept.watched.fill_(True)
        run(ids, kept)
        kept.due.fill_(False)
        kept.count.fill_(count)
        return (run(changed, kept) - run(changed, None))[0, 4].norm().item()

    def run(tokens, kept):
        return model.run(model.rows(State(tokens), torch.zeros(1, 10), tags, tags.live), kept)

    assert error(10) < 1e-4
    assert error(1) < error(0) / 2


def test_features_are_refused_where_they_mean_nothing():
    with pytest.raises(UserError, match="another noise level"):
        last(predictor(time_conditioning=True), request(4, 8), Decoder(Confidence(), DLLM()))
    with pytest.raises(UserError, match="use cache 'block'"):
        last(predictor(block_length=4), request(4, 8, span=4), Decoder(Confidence(), DLLM()))
    with pytest.raises(UserError, match="at least 1 step"):
        DLLM(prompt_interval=0)


def test_auto_takes_the_exact_cache_where_there_is_one_and_none_where_nothing_is_saved():
    assert isinstance(Auto().settle(predictor(block_length=4), request(4, 8, span=4)), Block)
    assert isinstance(Auto().settle(predictor(), request(0, 8)), NoCache)


def test_auto_believes_its_measurement(monkeypatch):
    model, canvas = predictor(), request(4, 16, block_length=4)
    for window, kind in ((0.9, NoCache), (0.1, Dual)):
        monkeypatch.setattr(Auto, "_seconds", lambda *_, window=window: (1.0, window))
        assert isinstance(Auto().settle(model, canvas), kind)
    monkeypatch.undo()
    everything, window = Auto()._seconds(model, canvas)
    assert min(everything, window) > 0
    assert last(model, canvas, Decoder(Confidence(), Auto())).done.all()
