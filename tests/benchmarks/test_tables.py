"""The tables of the decoding benchmarks, on a network of a few thousand random weights."""

import pytest
import torch

import undiffuse as ud
from benchmarks import decoding, parallel
from benchmarks.checkable import Sorting
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.destinations.mask import Mask
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.schedules.one_minus_t import OneMinusT
from undiffuse.text.tokenizer import Tokenizer


class Small(Sorting):
    items, digits = 2, 3
    context = 2 * items * (digits + 1) + 1


@pytest.fixture
def model() -> ud.LanguageModel:
    torch.manual_seed(0)
    tokenizer = Tokenizer.byte_level()
    rows = tokenizer.vocabulary.rows
    network = Transformer(TransformerConfig(rows=rows, width=16, depth=2, heads=1, context=64))
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.4)
    process = Interpolating(tokenizer.vocabulary, OneMinusT(), Mask())
    return ud.LanguageModel(Predictor(network.requires_grad_(False), process, "leave_one_out"), tokenizer, {}, "tiny")


@pytest.mark.slow
def test_one_token_a_step_answers_as_the_baseline_does_and_work_is_counted(model):
    task = Small()
    items = task.questions(2, seed=5)
    found = parallel.measured(model, task, items)
    asked = sum(sum(item.blank) for item in items)
    assert asked == 2 * 8
    rows = {name: parallel.line(task, name, found, model.predictor.denoiser, asked) for name in found}
    assert found["confidence"].right == found["baseline"].right
    assert rows["confidence"]["points"] == 0
    assert rows["confidence"]["NFE"] == rows["baseline"]["NFE"] == 8
    assert rows["baseline"]["rows per token"] == pytest.approx(16)
    assert 1 <= rows["entropy-bounded 0.1"]["NFE"] <= 8
    assert rows["threshold 0.9"]["n"] == 4


def test_caches_repeat_the_baseline_at_their_own_cost(model, monkeypatch):
    sizes = {"PROMPT": 8, "NEW": 16, "BLOCK": 4, "LENGTH": 24}
    for name, size in sizes.items():
        monkeypatch.setattr(decoding, name, size)
    monkeypatch.setattr(decoding, "held_out", lambda path: ("a text that is long enough to begin with", []))
    with torch.no_grad():
        text = decoding.Text.of(model, 2)
        assert [int(c.pending.sum()) for c in text.canvases()] == [2 * left for left in range(16, -1, -1)]
        found = decoding.measured(text, ("none", "dual"), 4)
        none, dual = (decoding.line(text, name, found) for name in ("none", "dual"))
    assert none["KL"] == none["flips"] == 0
    assert none["rows"] == pytest.approx(24)
    assert dual["rows"] == pytest.approx((24 + 3 * 4) / 4)
    assert dual["KL"] > 0
    assert none["head rows"] == dual["head rows"] == pytest.approx(2.5)
    assert 0 < dual["outside"] < 1
    assert dual["NFE"] == none["NFE"] == 1
