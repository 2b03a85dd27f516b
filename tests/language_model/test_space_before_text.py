"""Tokenizers that put a space before every text: verbs show texts as they were given, and none of these spaces."""

import pytest
import torch
from llama_pieces import metadata

from undiffuse.language_model import LanguageModel
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.process.destinations.mask import Mask
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.schedules.one_minus_t import OneMinusT
from undiffuse.text.form import form_of
from undiffuse.text.gguf_tokenizer import tokenizer_json
from undiffuse.text.holes import parse
from undiffuse.text.published_tokenizer import PublishedTokenizer
from undiffuse.vocabulary import Vocabulary

TEXT = "a model and the model, in the text"


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    """A masked network, wide of mark, of a tokenizer with a row to spare for the mask."""
    torch.manual_seed(0)
    content = tokenizer_json(metadata())
    rows = len(content["model"]["vocab"]) + 1
    vocabulary = Vocabulary(rows, mask=rows - 1, bos=1, eos=2)
    network = Transformer(TransformerConfig(rows=rows, width=32, depth=1, heads=2, hidden=32, context=32))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    process = Interpolating(vocabulary, OneMinusT(), Mask())
    network.eval().requires_grad_(False)
    return LanguageModel(Predictor(network, process, "leave_one_out"), PublishedTokenizer(content, vocabulary), {})


def test_a_blank_at_the_beginning(model):
    for seed in range(4):
        (found,) = model.fill("[MASK] and [MASK] the {pet:choice(model|text)}", seed=seed)
        first, second, third = (hole.text for hole in found.holes)
        assert found.text == f"{first} and {second} the {third}"
        assert not first.startswith("  ")
        assert third in ("model", "text")


def test_ids_around_a_blank_are_those_of_the_whole_text(model):
    before, blank, after = form_of(parse("a model [MASK] the model, in the text"), model.tokenizer).parts
    filled = model.tokenizer.continuing.encode((blank.prefix + b"and").decode())
    assert [*before.ids, *filled, *after.ids] == model.tokenizer.encode(TEXT)


def test_words_are_found_where_they_stand(model):
    found = model.check(TEXT, threshold=0.0)
    for finding in found.findings:
        assert TEXT[finding.start : finding.end] == finding.text
        assert all(other.text != finding.text for other in finding.proposals)
        if finding.start == 0:
            assert not any(other.text.startswith("  ") for other in finding.proposals)


def test_scores_count_the_bytes_of_the_text(model):
    score = model.score(TEXT, draws=2, per_token=True)
    assert score.bytes == len(TEXT)
    assert "".join(token.text for token in score.per_token) == TEXT


def test_what_is_generated_begins_where_the_prompt_ends(model):
    for prompt in ("", "a model"):
        (found,) = model.generate(prompt, length=5, seed=1)
        assert found.text.startswith(prompt)
        assert not found.text.startswith(" ")
