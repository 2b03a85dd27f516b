"""A thousand seeded random texts with holes, and arguments of the verbs.

A seed that once failed becomes a plain test of its own.
"""

import random

import pytest
import torch
from fuzzing import CASES, ODD, taken

from undiffuse.kinds import CACHES, STRATEGIES, build_process
from undiffuse.language_model import LanguageModel
from undiffuse.language_model.settings import PRESETS
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.text.tokenizer import Tokenizer

HOLES = ["[MASK]", "[MASK:2]", "[MASK:1-3]", "____", "{a:yesno}", "{b:date}", "{c:int(1-20)}", "{d:int(-9--5)}"]
HOLES += ["{e:choice(x|yy|é)}", "{x:/[a-z]{1,3}/}", "{y:/\\d*/}", "{x:/.{0,9}b[a-z]{9}/}"]
HALF = ["[MASK:", "[MASK", "{e:choice(", "{f:/", "/}", "{g: yesno}", "{x:/", "____x", "\\/", *"\\{}|()][_$^"]
PLAIN = ["\\\\", " ", "  ", "\n", "\t", "a", "The ab", "é", "🙂", "漢", "\ud800", "\x00", "\ufeff", "e\u0301", "\u2028"]
SIGNS = [*"ab.^$|()[]{}*+?\\-,019dé", "(?:", "[^", "{2}", r"\d", r"\p{L}", "(?i)", "(?x)", "&&", "[[:alpha:]]"]


def holes_case(seed: int, models: list[LanguageModel]) -> None:
    """Holes, halves of holes and plain text in any mixture, filled by any model under some options."""
    draw = random.Random(seed)
    text = "".join(draw.choice(draw.choice((HOLES, HALF, PLAIN))) for _ in range(draw.randint(1, 6)))
    if draw.random() < 0.35:
        text += "{z:/" + "".join(draw.choices(SIGNS, k=draw.randrange(1, 9))) + "/}"
    options = {
        "top": draw.randint(1, 3),
        "samples": draw.randint(1, 2),
        "temperature": draw.choice((0.0, 0.5, 1.0)),
        "strategy": draw.choice(STRATEGIES.kinds),
        "max_nfe": draw.randint(1, 3),
    }
    chosen = {name: value for name, value in options.items() if draw.random() < 0.25}
    draw.choice(models).fill(text, **chosen)


VERBS = {
    "fill": (
        "text",
        "strategy",
        "top",
        "samples",
        "temperature",
        "seed",
        "steps",
        "top_p",
        "top_k",
        "block_length",
        "cache",
        "guidance",
        "max_nfe",
        "deadline_ms",
        "confidence",
        "threshold",
    ),
    "generate": (
        "prompt",
        "length",
        "until",
        "steps",
        "strategy",
        "temperature",
        "samples",
        "seed",
        "top_k",
        "top_p",
        "block_length",
        "cache",
        "guidance",
        "max_nfe",
        "deadline_ms",
        "confidence",
    ),
    "score": ("texts", "prompts", "draws", "precision", "per_token", "seed", "as_"),
    "check": ("text", "top", "proposals", "threshold"),
    "stream": ("text", "prompt", "length", "strategy", "temperature", "seed", "steps", "cache", "top_k", "guidance"),
    "embed": ("texts", "layer"),
    "chat": ("messages", "length", "temperature", "seed", "strategy", "system", "steps"),
    "fitting": ("messages", "length", "seed"),
    "fill_answer": ("messages", "number", "top", "seed", "strategy"),
    "logits": ("ids", "valid", "t", "sigma"),
    "decode": (
        "prompt_ids",
        "length",
        "strategy",
        "block_length",
        "steps",
        "cache",
        "guidance",
        "stop_ids",
        "banned_ids",
        "seed",
        "temperature",
        "top_k",
        "top_p",
        "confidence",
        "samples",
        "max_nfe",
        "deadline_ms",
        "early_stop",
        "window_length",
    ),
    "fill_object": ("prompt", "schema", "strategy", "top", "samples", "temperature", "seed", "steps", "cache"),
}
ASKED = [{"role": "user", "content": "a"}]
GIVEN = {
    "stream": {"text": "a [MASK] b"},
    "embed": {"texts": "a"},
    "chat": {"messages": ASKED, "length": 3},
    "fitting": {"messages": ASKED},
    "fill_answer": {"messages": [*ASKED, {"role": "assistant", "content": "[MASK]b"}], "number": 1},
    "fill": {"text": "a [MASK:2] b"},
    "generate": {"prompt": "a", "length": 3},
    "score": {"texts": "a b c", "draws": 2},
    "check": {"text": "a b", "threshold": 100.0},
    "logits": {"ids": [[1, 2]]},
    "decode": {"prompt_ids": [[1]], "length": 2, "strategy": "confidence"},
    "fill_object": {"prompt": "a", "schema": {"type": "object", "properties": {"x": {"type": "boolean"}}}},
}
COSTLY = {"samples": 4, "draws": 4, "proposals": 9, "length": 40, "top": 9}
"""Where a large number is legal and costs what it asks for: the largest that is tried."""


BPE = Tokenizer.train(["The ab abc formal 12 123 née 漢字 🙂 naïve yes no\n" * 30], 320)


def tiny(tokenizer: Tokenizer, destination: str = "mask", **config) -> LanguageModel:
    torch.manual_seed(0)
    shape = TransformerConfig(rows=tokenizer.vocabulary.rows, width=8, depth=1, heads=1, context=24, **config)
    spec = {"schedule": {"kind": "one-minus-t"}, "destination": {"kind": destination}}
    process = build_process(spec, tokenizer.vocabulary)
    predictor = Predictor(Transformer(shape).requires_grad_(False), process, "leave_one_out")
    return LanguageModel(predictor, tokenizer, {}).with_template("{% for m in messages %}{{ m.content }}{% endfor %}")


@pytest.fixture(scope="session")
def model() -> LanguageModel:
    return tiny(Tokenizer.byte_level())


@pytest.fixture(scope="session")
def models(model: LanguageModel) -> list[LanguageModel]:
    return [model, tiny(BPE), tiny(BPE, "uniform"), tiny(BPE, causal=True), tiny(BPE, block_length=4)]


def arguments_case(seed: int, model) -> None:
    draw = random.Random(seed)
    verb = draw.choice(sorted(VERBS))
    options = dict(GIVEN[verb])
    names = (*STRATEGIES.kinds, *CACHES.kinds, *PRESETS, "raw", "filtered", "sedd", "mdlm")
    for name in draw.sample(VERBS[verb], draw.randint(1, 2)):
        value = draw.choice((*ODD, draw.choice(names), draw.choice(names)))
        costly = name in COSTLY and type(value) is int and value > COSTLY[name]
        options[name] = 2 if costly or (name == "precision" and isinstance(value, float) and value < 0.5) else value
    found = getattr(model, verb)(**options)
    if hasattr(found, "__next__"):
        list(found)


@pytest.mark.slow
def test_texts_with_holes(models):
    assert taken(lambda seed: holes_case(seed, models)) > CASES // 10


@pytest.mark.slow
def test_arguments(model):
    assert taken(lambda seed: arguments_case(seed, model))
