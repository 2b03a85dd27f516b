"""Tokenizers of published models: plain text in, bytes out, and no way to spell a control token."""

import json

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from undiffuse.errors import UserError
from undiffuse.text.published_tokenizer import NoTokenizer, PublishedTokenizer
from undiffuse.vocabulary import Vocabulary

TEXT = "The quick brown fox jumps over the lazy dog; he'll see 1234 dogs. Größe, naïve — 漢字 and emoji 🙂 too.\n"
CONTROLS = ("<|endoftext|>", "<|mask|>", "<tool>")


def library() -> tokenizers.Tokenizer:
    """A byte-level BPE as families publish them: with added tokens, of which one is not marked as special."""
    found = tokenizers.Tokenizer(tokenizers.models.BPE())
    found.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    found.train_from_iterator([TEXT] * 5, trainer)
    found.add_special_tokens(list(CONTROLS[:2]))
    found.add_tokens([CONTROLS[2]])
    return found


REFERENCE = library()
EOS, MASK, TOOL = (REFERENCE.token_to_id(control) for control in CONTROLS)
ROWS = Vocabulary(REFERENCE.get_vocab_size() + 5, mask=MASK, eos=EOS)
OURS = PublishedTokenizer(json.loads(REFERENCE.to_str()), ROWS)


def test_plain_text_has_the_ids_that_the_library_gives():
    assert OURS.encode(TEXT) == REFERENCE.encode(TEXT).ids
    assert OURS.decode(OURS.encode(TEXT)) == TEXT


@given(st.lists(st.sampled_from(["<|", "|>", "mask", "endoftext", *CONTROLS, " ", "é"]), max_size=9).map("".join))
def test_no_text_spells_a_control_token(text):
    ids = OURS.encode(text)
    assert not {EOS, MASK, TOOL} & set(ids)
    assert OURS.decode(ids) == text


def test_the_library_would_have_spelled_them():
    assert set(REFERENCE.encode("".join(CONTROLS)).ids) == {EOS, MASK, TOOL}


def test_every_row_of_the_table_has_bytes_or_none():
    assert len(OURS.tokens) == ROWS.rows
    controls = {EOS, MASK, TOOL, *range(REFERENCE.get_vocab_size(), ROWS.rows)}
    assert {row for row, data in enumerate(OURS.tokens) if not data} == controls
    assert OURS.vocabulary is ROWS
    assert OURS.kind == "bpe"


def test_from_vocab_json_and_merges_txt():
    content = json.loads(REFERENCE.to_str())["model"]
    merges = "#version: 0.2\n" + "\n".join(
        " ".join(pair) if isinstance(pair, list) else pair for pair in content["merges"]
    )
    found = PublishedTokenizer.from_merges(content["vocab"], merges, ROWS)
    text = "Don't stop 123\n\n  now"
    assert found.decode(found.encode(text)) == text
    assert [found.decode([token]) for token in found.encode("12 34")] == ["1", "2", " ", "3", "4"]
    assert found.encode("é") == found.encode("e\u0301")  # Qwen's normal form


def test_merges_of_gpt2_are_cut_as_gpt2_does():
    content = {**json.loads(REFERENCE.to_str())["model"]}
    merges = "\n".join(" ".join(pair) for pair in content["merges"])
    vocabulary = {**content["vocab"], "<|endoftext|>": max(content["vocab"].values()) + 1}
    rows = Vocabulary(vocabulary["<|endoftext|>"] + 1)
    found = PublishedTokenizer.from_merges(vocabulary, merges, rows, cut="gpt2")
    assert len(found.encode("123")) <= len(PublishedTokenizer.from_merges(vocabulary, merges, rows).encode("123"))
    assert found.encode("é") != found.encode("e\u0301")  # no normal form
    assert found.decode(found.encode("e\u0301 12")) == "e\u0301 12"
    assert found.token_bytes(vocabulary["<|endoftext|>"]) == b""


def test_what_is_refused():
    content = json.loads(REFERENCE.to_str())
    with pytest.raises(UserError, match="neither a byte-level BPE, nor one with byte fallback, nor a WordPiece"):
        PublishedTokenizer({**content, "decoder": {"type": "Metaspace"}}, ROWS)
    with pytest.raises(UserError, match=f"has id {TOOL} and the model's table 300 rows"):
        PublishedTokenizer(content, Vocabulary(300))
    with pytest.raises(UserError, match="lone surrogate"):
        OURS.encode("\ud800")
    with pytest.raises(UserError, match=r"somewhere has no tokenizer"):
        NoTokenizer(ROWS, "somewhere").encode("a")
