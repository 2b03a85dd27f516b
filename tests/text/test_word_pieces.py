"""WordPiece tokenizers: what text becomes, and what is read back from pieces."""

import json

import pytest
import tokenizers
from pieces import content, pieces, rows

from undiffuse.errors import UserError
from undiffuse.text.form import form_of
from undiffuse.text.holes import parse
from undiffuse.text.surroundings import NONE, Surroundings, surroundings_of
from undiffuse.text.tokenizer_file import read_tokenizer
from undiffuse.text.word_pieces import WordPieces
from undiffuse.vocabulary import Vocabulary

CODEC = pieces()
TEMPLATE = content()["post_processor"]
REFERENCE = tokenizers.Tokenizer.from_str(json.dumps(content()))


def row(token: str) -> int:
    return content()["model"]["vocab"][token]


@pytest.mark.parametrize("text", ["The capital of FRANCE is Paris.", "isn't it?  a\nfox", "漢字 or no", ""])
def test_ids_are_those_of_the_library(text):
    theirs = REFERENCE.encode(text, add_special_tokens=False).ids
    assert CODEC.encode(text) == CODEC.context(text) == theirs
    around = CODEC.surroundings
    assert [*around.before, *theirs, *around.after] == REFERENCE.encode(text).ids


def test_no_text_spells_a_control_token():
    ids = CODEC.context("a [MASK] b [SEP] [CLS]")
    assert not {2, 3, 4} & set(ids)
    assert 2 in REFERENCE.encode("a [CLS]", add_special_tokens=False).ids


@pytest.mark.parametrize("text", ["The Capital, of  France.", " É fox\n", "Paris", "(yes) no ", "漢字"])
def test_pieces_together_are_the_text_as_it_was_given(text):
    assert b"".join(piece for _, piece in CODEC.pieces(text)).decode() == text
    assert [found for found, _ in CODEC.pieces(text)] == CODEC.encode(text)


def test_pieces_are_read_with_a_space_before_each_word():
    assert CODEC.decode(CODEC.encode("the capital of France (Paris), is small.")) == (
        " the capital of france ( paris), is small."
    )
    assert CODEC.decode(CODEC.encode("漢字 fox")) == "漢字 fox"
    assert CODEC.decode([row("fox"), row("##s")]) == " foxs"


def test_rows_without_a_text():
    for token in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"):
        assert CODEC.token_bytes(row(token)) == b""
    vocabulary = content()["model"]["vocab"]
    new = len(vocabulary)
    spare = {**content(), "model": {**content()["model"], "vocab": {**vocabulary, "[unused7]": new}}}
    assert WordPieces(spare, Vocabulary(new + 1, mask=4)).token_bytes(new) == b""


def test_what_the_tokenizer_has_no_token_for():
    with pytest.raises(UserError, match="no token for '☕': leave it out"):
        CODEC.encode("a fox ☕ no")
    assert row("[UNK]") in CODEC.context("a fox ☕ no")
    with pytest.raises(UserError, match="lone surrogate"):
        CODEC.encode("\ud800")


def test_a_file_says_what_kind_it_is():
    assert isinstance(read_tokenizer(content(), rows()), WordPieces)
    assert read_tokenizer(json.loads(CODEC.to_json()), rows()).digest == CODEC.digest
    with pytest.raises(UserError, match="the model's table 20 rows"):
        read_tokenizer(content(), Vocabulary(20))
    broken = {**content(), "model": {**content()["model"], "unk_token": "[NONE]"}}
    with pytest.raises(UserError, match="its unk_token is not in its vocabulary"):
        read_tokenizer(broken, rows())
    with pytest.raises(UserError, match="has no vocabulary of tokens"):
        read_tokenizer({"model": {"type": "WordPiece"}}, rows())


@pytest.mark.parametrize(
    ("processor", "expected"),
    [
        (TEMPLATE, Surroundings((2,), (3,))),
        ({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}, Surroundings((2,), (3,))),
        ({"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]}, Surroundings((0,), (2,))),
        ({"type": "Sequence", "processors": [{"type": "ByteLevel"}, TEMPLATE]}, Surroundings((2,), (3,))),
        ({**TEMPLATE, "single": TEMPLATE["single"][:2]}, NONE),
        ({"type": "TemplateProcessing", "single": 3}, NONE),
        ({"type": "BertProcessing", "sep": "x"}, NONE),
        ({"type": "ByteLevel"}, NONE),
        (None, NONE),
    ],
    ids=str,
)
def test_what_stands_on_both_sides_of_every_text(processor, expected):
    assert surroundings_of({"post_processor": processor}) == expected


@pytest.mark.parametrize(
    ("text", "fills", "whole"),
    [
        ("The [MASK] of France", ["fox"], "The fox of France"),
        ("[MASK] is the CAPITAL", ["fox"], "fox is the CAPITAL"),
        ("Über\n[MASK]!", ["fox"], "Über\nfox!"),
        ("([MASK]) no", ["fox"], "(fox) no"),
        ('say "[MASK]" no', ["fox"], 'say "fox" no'),
        ("fox[MASK] no", ["##s"], "foxs no"),
        ("a  [MASK] no ☕", ["fox"], "a  fox no ☕"),
        ("yes [MASK] [MASK]", ["fox", "dog"], "yes fox dog"),
    ],
)
def test_text_outside_holes_comes_back_as_it_was_written(text, fills, whole):
    form = form_of(parse(text), CODEC)
    written = [CODEC.token_bytes(row(token)) for token in fills]
    assert form.text(written, CODEC) == whole
    shown = [blank.shown(fill) for blank, fill in zip(form.blanks, written, strict=True)]
    assert shown == [fill.removeprefix("##") for fill in fills]
    assert all(fill.startswith(blank.prefix) for blank, fill in zip(form.blanks, written, strict=True))


def test_a_typed_hole_at_the_start_is_a_word():
    (blank,) = form_of(parse("{a:choice(yes|no)} fox"), CODEC).blanks
    assert (blank.prefix, blank.spaced) == (b" ", False)
    assert blank.spellings(CODEC) == [CODEC.encode("yes"), CODEC.encode("no")]
    assert blank.shown(b" yes") == "yes"
