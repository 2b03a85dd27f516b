"""The verbs on a network of block diffusion: any length, the exact cache, blocks that cannot be changed."""

import pytest
import torch

from undiffuse.decode.canvas import start
from undiffuse.decode.loop import walk
from undiffuse.decode.strategies.confidence import Confidence
from undiffuse.errors import UserError
from undiffuse.kinds import CACHES, build_process
from undiffuse.language_model import LanguageModel, load
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.text.tokenizer import Tokenizer

CONTEXT, SPAN = 32, 4


def build(span: int = SPAN, context: int = CONTEXT) -> LanguageModel:
    tokenizer = Tokenizer.byte_level()
    torch.manual_seed(0)
    config = TransformerConfig(
        rows=tokenizer.vocabulary.rows, width=32, depth=2, heads=2, context=context, block_length=span
    )
    network = Transformer(config)
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    process = build_process(
        {"schedule": {"kind": "one-minus-t"}, "destination": {"kind": "mask"}}, tokenizer.vocabulary
    )
    return LanguageModel(Predictor(network.requires_grad_(False), process, "leave_one_out"), tokenizer, {})


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    return build()


def events(model: LanguageModel, **options) -> list:
    return list(model.stream(prompt="A beginning", **options))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ancestral", "confidence", "threshold"])
@pytest.mark.parametrize("length", [3, 50])
def test_the_cache_changes_nothing_at_any_length(model, strategy, length):
    """Step by step the same tokens in the same places, within the context and far beyond it."""
    cached, plain = (events(model, length=length, strategy=strategy, cache=cache, seed=5) for cache in (None, "none"))
    assert len(cached) == len(plain)
    for one, other in zip(cached, plain, strict=True):
        assert torch.equal(one.ids, other.ids)
        assert torch.equal(one.pending, other.pending)
        assert torch.equal(one.nfe, other.nfe)


def test_the_exact_cache_is_the_default(model, monkeypatch):
    block, used = CACHES.load("block"), []
    memory = block.memory
    monkeypatch.setattr(block, "memory", lambda *arguments: used.append(1) or memory(*arguments))
    model.generate("A beginning", length=8)
    assert used
    used.clear()
    model.generate("A beginning", length=8, cache="none")
    assert not used


def test_blocks_count_from_the_beginning_of_the_prompt(model):
    """The tail of a prompt of 11 tokens shares the third block: one token is decided in it, then four by four."""
    windows = [event.window[0].nonzero()[:, 0].tolist() for event in events(model, length=9, strategy="confidence")]
    assert windows == [*([[11]] * 1), *([[12, 13, 14, 15]] * 4), *([[16, 17, 18, 19]] * 4), []]


@pytest.mark.slow
def test_beyond_the_context_every_part_begins_where_a_block_does(model):
    canvases = events(model, length=75, strategy="confidence")
    starts = [event for event in canvases if int(event.step) == 0 and bool(event.pending.any())]
    visible = [int((~event.pending).sum()) for event in starts]
    assert visible == [11, 16, 16, 16, 24]
    assert [int(event.pending.sum()) for event in starts] == [21, 16, 16, 16, 6]
    done = model.generate("A beginning", length=75, strategy="confidence", seed=5)[0]
    assert "86 tokens exceed the trained context of 32: generated in 5 parts, each seeing at most the 24" in done.note
    assert done.nfe == 75


def test_a_part_sees_the_text_before_it(model):
    """What is kept of a long prompt decides, and what is dropped does not."""
    tail = "the same twenty-four end"  # 32 - 8 bytes are visible beside 8 new ones
    one, two, other = (
        model.generate(beginning + ending, length=8, strategy="confidence", temperature=0.0)[0].text[-8:]
        for beginning, ending in (("a" * 40, tail), ("b" * 40, tail), ("a" * 40, tail.upper()))
    )
    assert one == two
    assert one != other


def test_blocks_longer_than_half_a_context_still_see_something():
    model = build(span=32)
    generated = model.generate("A beginning", length=60, strategy="confidence")[0]
    assert "each seeing at most the 25 tokens before it" in generated.note
    assert generated.nfe == 60


def test_windows_are_parts_of_a_block(model):
    windows = [event.window[0].nonzero()[:, 0].tolist() for event in events(model, length=5, block_length=2)][:-1]
    assert {tuple(window) for window in windows} == {(11,), (12, 13), (14, 15)}
    cached, plain = (events(model, length=30, block_length=2, cache=cache) for cache in ("block", "none"))
    assert all(torch.equal(one.ids, other.ids) for one, other in zip(cached, plain, strict=True))
    for size, good in ((3, 2), (8, 4)):
        with pytest.raises(
            UserError, match=rf"blocks of 4 tokens, and windows of {size} do not .* --block-length {good}"
        ):
            model.generate(length=8, block_length=size)


def test_steps_and_evaluations_are_shared_by_the_parts(model):
    few, limited = (
        model.generate("A beginning", length=75, strategy="confidence", **options)[0].nfe
        for options in ({"steps": 40}, {"max_nfe": 40, "steps": 70})
    )
    assert few == pytest.approx(40, abs=4)  # one more where whole characters hold a token back
    assert limited == 40
    with pytest.raises(
        UserError, match="10 steps cannot fill 20 blocks of 4 tokens: use at least 20 steps, or a shorter"
    ):
        model.generate("A beginning", length=75, steps=10)
    with pytest.raises(UserError, match="4 evaluations cannot complete 5 parts of the context: use --max-nfe 5"):
        model.generate("A beginning", length=75, steps=70, max_nfe=4)
    hurried = model.generate("A beginning", length=75, strategy="confidence", deadline_ms=1e-3)[0]
    assert hurried.nfe == 5


def test_blanks_are_refused_before_anything_runs(model, monkeypatch):
    monkeypatch.setattr(Transformer, "trunk", None)
    for text in ("a [MASK] b", "a ____"):
        with pytest.raises(UserError, match=r"a blank would not see .* attention blocks of 4 tokens.*generate"):
            model.fill(text)
        with pytest.raises(UserError, match="a blank would not see"):
            list(model.stream(text))
    for cache in ("prefix", "dual"):
        with pytest.raises(UserError, match="use cache 'block'"):
            model.generate(length=8, cache=cache)


def test_a_canvas_without_its_blocks_is_refused(model):
    """Full attention is not what the network was trained for."""
    canvas = start(torch.zeros(8, dtype=torch.long), torch.arange(8) > 3, key=0)
    with pytest.raises(UserError, match=r"trained by block diffusion and needs canvases with its blocks: span=4"):
        list(walk(model.predictor, canvas, Confidence()))


def test_it_is_saved_with_its_blocks(model, tmp_path):
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.predictor.traits.block_length == SPAN
    assert again.score("A beginning and more.", draws=4).nats_per_token == pytest.approx(
        model.score("A beginning and more.", draws=4).nats_per_token
    )


def test_blocks_of_one_token_have_an_exact_likelihood():
    """The chain rule leaves nothing to chance: the same value for every seed, and it is called exact."""
    model = build(span=1)
    one, other = (model.score("A beginning and much more than a context of it.", seed=seed) for seed in (0, 1))
    assert one.estimate.kind == "exact"
    assert one.nats_per_token == pytest.approx(other.nats_per_token, rel=1e-6)
    assert one.nats_per_token[1] == 0
