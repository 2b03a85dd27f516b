"""A small model with random weights that fills, generates, scores and is saved."""

from contextlib import suppress

import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.kinds import STRATEGIES, build_process
from undiffuse.language_model import LanguageModel
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.needs import require
from undiffuse.text.tokenizer import Tokenizer

TEXT = "The quick brown fox jumps over the lazy dog. Größe, naïve — 漢字 and emoji 🙂 too.\n" * 30


def build(destination: str = "mask", tokenizer: Tokenizer | None = None, context: int = 32) -> LanguageModel:
    tokenizer = tokenizer or Tokenizer.train([TEXT], 320)
    torch.manual_seed(0)
    network = Transformer(
        TransformerConfig(rows=tokenizer.vocabulary.rows, width=32, depth=2, heads=2, context=context)
    )
    torch.nn.init.normal_(network.unembedding.weight, std=0.3)
    spec = {"schedule": {"kind": "one-minus-t"}, "destination": {"kind": destination}}
    process = build_process(spec, tokenizer.vocabulary)
    return LanguageModel(Predictor(network.requires_grad_(False), process, "leave_one_out"), tokenizer, {})


@pytest.fixture(scope="session")
def model() -> LanguageModel:
    return build()


@pytest.fixture(scope="session")
def long_model() -> LanguageModel:
    return build(context=128)


@pytest.fixture(scope="session")
def uniform() -> LanguageModel:
    return build("uniform")


@pytest.fixture(scope="session")
def byte_model() -> LanguageModel:
    return build(tokenizer=Tokenizer.byte_level(), context=128)


@pytest.fixture(scope="session")
def strategies_of():
    """The kinds of strategy that have a meaning for a model's noise."""

    def found(model: LanguageModel) -> list[str]:
        kinds = []
        for kind in STRATEGIES.kinds:
            with suppress(UserError):
                require(STRATEGIES.load(kind)().needs, model.predictor.process)
                kinds.append(kind)
        return kinds

    return found
