"""A thousand seeded random cases at each door: whatever is asked for, no exception but a UserError leaves the house.

A seed that once failed becomes a plain test of its own.
"""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import undiffuse as ud
from undiffuse.errors import UserError
from undiffuse.kinds import CACHES, COMPONENTS, STRATEGIES, build_process
from undiffuse.language_model import LanguageModel
from undiffuse.language_model.settings import PRESETS
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.text.tokenizer import Tokenizer
from undiffuse.training.configuration import flat
from undiffuse.training.recipe import recipes, resolve

CASES = 1000
ODD = (
    *(None, True, False, 0, 1, -1, 2, 3, 17, 1 << 70, 0.0, -0.0, 0.5, 1.0, -1.5, 1e-40, 1e300),
    *(
        float("nan"),
        float("inf"),
        -float("inf"),
        "",
        "a",
        "3",
        "nan",
        "\ud800",
        b"x",
        1j,
        [],
        [1],
        {},
        {"kind": "mask"},
    ),
    *((), np.int64(2), np.float32(0.5), np.array([1, 2]), torch.tensor(2), torch.tensor([0.5]), object, object()),
)
WRITTEN = (
    "0",
    "1",
    "-1",
    "3",
    "1e999",
    "0.5",
    "nan",
    "-inf",
    "true",
    "[]",
    "[0.3, 0.8]",
    "{}",
    "''",
    "x",
    "auto",
    "[[1.0]]",
)


def taken(trial: Callable[[int], None]) -> int:
    """How many cases were taken; fails with the seed where something other than a UserError leaves."""
    count = 0
    for seed in range(CASES):
        try:
            trial(seed)
            count += 1
        except UserError:
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    return count


def recipe_case(seed: int) -> None:
    draw = random.Random(seed)
    name = draw.choice(recipes())
    keys = list(flat(resolve(name).configuration.to_dict()))
    kinds = [kind for family in COMPONENTS.values() for kind in family.kinds]
    overrides = []
    for key in draw.sample(keys, draw.randint(1, 2)):
        value = draw.choice((*WRITTEN, draw.choice(kinds), str(draw.randint(-9, 99))))
        overrides.append(f"{key}{draw.choice(('', '', '', '.kind', '.x'))}={value}")
    resolve(name, overrides)


ROOT = Path(__file__).parent / "golden"


def checkpoint_case(seed: int, folder: Path) -> None:
    draw = random.Random(seed)
    source = ROOT / draw.choice(("llada", "dream", "sdar")) / "checkpoint"
    directory = folder / str(seed)
    shutil.copytree(source, directory)
    for _ in range(draw.randint(1, 2)):
        path = draw.choice(sorted(directory.iterdir()))
        data = path.read_bytes()
        how = draw.randrange(4)
        if how == 0:
            path.unlink()
            path.write_bytes(b"")
        elif how == 1:
            path.write_bytes(data[: draw.randrange(len(data) + 1)])
        elif how == 2 and data:
            place = draw.randrange(min(len(data), 4000))
            path.write_bytes(data[:place] + bytes([draw.randrange(256)]) + data[place + 1 :])
        elif path.suffix == ".json" and data:
            content = read(data)
            mutate(content, draw)
            path.write_text(json.dumps(content))
    try:
        model = ud.load(directory, family=draw.choice((None, None, "llada", "dream", "sdar")))
        model.logits(torch.tensor([[1, 2, 3]]))
    finally:
        shutil.rmtree(directory)


def read(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return {}


def mutate(content: object, draw: random.Random) -> None:
    """One value somewhere in a JSON document becomes another, or goes."""
    plain = (None, True, 0, -1, 1, 3, 1 << 70, 0.5, float("nan"), 1e300, "", "x", [], [1], {}, {"a": 1}, ["a", "b"])
    while isinstance(content, dict | list) and content:
        place = draw.choice(list(content) if isinstance(content, dict) else range(len(content)))
        if isinstance(content[place], dict | list) and content[place] and draw.random() < 0.7:
            content = content[place]
        elif draw.random() < 0.2:
            del content[place]
            return
        else:
            content[place] = draw.choice(plain)
            return


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
    "logits": ("ids", "valid"),
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
    ),
    "fill_object": ("prompt", "schema", "strategy", "top", "samples", "temperature", "seed", "steps", "cache"),
}
GIVEN = {
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


@pytest.fixture(scope="session")
def model() -> LanguageModel:
    tokenizer = Tokenizer.byte_level()
    torch.manual_seed(0)
    network = Transformer(TransformerConfig(rows=tokenizer.vocabulary.rows, width=8, depth=1, heads=1, context=24))
    spec = {"schedule": {"kind": "one-minus-t"}, "destination": {"kind": "mask"}}
    process = build_process(spec, tokenizer.vocabulary)
    return LanguageModel(Predictor(network.requires_grad_(False), process, "leave_one_out"), tokenizer, {})


def arguments_case(seed: int, model) -> None:
    draw = random.Random(seed)
    verb = draw.choice(sorted(VERBS))
    options = dict(GIVEN[verb])
    names = (*STRATEGIES.kinds, *CACHES.kinds, *PRESETS, "raw", "filtered", "sedd", "mdlm")
    for name in draw.sample(VERBS[verb], draw.randint(1, 2)):
        value = draw.choice((*ODD, draw.choice(names), draw.choice(names)))
        costly = name in COSTLY and type(value) is int and value > COSTLY[name]
        options[name] = 2 if costly or (name == "precision" and isinstance(value, float) and value < 0.5) else value
    getattr(model, verb)(**options)


@pytest.mark.slow
def test_recipes():
    assert taken(recipe_case)


@pytest.mark.slow
def test_checkpoint_directories(tmp_path):
    assert taken(lambda seed: checkpoint_case(seed, tmp_path))


@pytest.mark.slow
def test_arguments(model):
    assert taken(lambda seed: arguments_case(seed, model))
