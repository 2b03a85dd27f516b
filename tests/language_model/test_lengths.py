"""What says how long a hole of a record is, by enumeration of a small world."""

import math

import pytest
import torch
from letters import exact_model, laws

from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.evaluation import at_once
from undiffuse.decode.length import RECORD, TEXT, reading_score
from undiffuse.decode.loop import walk
from undiffuse.exact.world import World
from undiffuse.language_model import LanguageModel
from undiffuse.language_model.lengths import choose_lengths
from undiffuse.language_model.settings import Settings
from undiffuse.randomness import Draws
from undiffuse.text.form import form_of
from undiffuse.text.holes import parse

WORLD = World(3, 4, torch.rand(81, dtype=torch.float64, generator=torch.Generator().manual_seed(5)).square())
LAW = laws(WORLD)
MODEL = exact_model(WORLD)


def mass(pattern: str) -> float:
    """The probability of all texts of a pattern, in which a dot is any letter."""
    return sum(p for text, p in LAW.items() if all(a in (".", b) for a, b in zip(pattern, text, strict=True)))


def canvas_of(text: str) -> Canvas:
    ids = torch.tensor([MODEL.tokenizer.encode(letter)[0] if letter != "." else 0 for letter in text])
    pending = torch.tensor([letter == "." for letter in text])
    return start(ids, pending, key=Draws.seeded(0).stream("fill"), steps=None, block_length=None)


@pytest.mark.parametrize("text", ["abca", "cbba", "aaab"])
@pytest.mark.parametrize("begin", [0, 1, 3])
def test_tokens_are_read_one_after_the_other(text, begin):
    score = at_once(reading_score(MODEL.predictor, canvas_of(text), torch.tensor([begin])))
    assert score.item() == pytest.approx(math.log(LAW[text] / mass(text[:begin] + "." * (4 - begin))), abs=1e-9)


def test_texts_are_read_together_as_alone():
    texts, begins = ["abca", "cbba", "aaab"], torch.tensor([2, 0, 1])
    together = at_once(reading_score(MODEL.predictor, Canvas.concatenate(list(map(canvas_of, texts))), begins))
    alone = [at_once(reading_score(MODEL.predictor, canvas_of(t), b[None])) for t, b in zip(texts, begins, strict=True)]
    assert torch.allclose(together, torch.cat(alone), rtol=0, atol=1e-12)


@pytest.mark.parametrize("text", ["a.bc", ".acb", "a..b", ".b.c"])
def test_what_is_fixed_is_explained_alike_whatever_fills_the_holes(text):
    first = text.index(".")
    expected = math.log(mass(text) / mass(text[:first] + "." * (4 - first)))
    for seed in range(4):
        settings = Settings.of("confidence", temperature=1.0, seed=seed)
        for done, _ in walk(MODEL.predictor, canvas_of(text), settings.decoder()):  # noqa: B007
            pass
        filled = torch.where(done.commit_step >= 0, done.commit_logp, 0.0).double().sum()
        score = at_once(reading_score(MODEL.predictor, done, torch.tensor([first]))) - filled
        assert score.item() == pytest.approx(expected, abs=1e-5)  # commit_logp is in float32


def test_records_are_read_to_their_ends(model):
    texts = form_of(parse("a[MASK:1-3] b c d e f g"), model.tokenizer)
    closed = LanguageModel(model.predictor, model.tokenizer, {"closing": 2})
    assert (model.trained.reading, closed.trained.reading) == (TEXT, RECORD)
    assert closed.trained.around.after == (model.tokenizer.vocabulary.eos,) * 2
    placement, _ = at_once(choose_lengths(closed.trained, texts, Settings.of("confidence")))
    assert placement.ids[-2:].tolist() == [model.tokenizer.vocabulary.eos] * 2
