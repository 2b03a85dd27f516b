"""Holes in tokens: fixed text comes back, nothing merges across an edge, a space before a hole moves into it."""

import json

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from undiffuse.text.form import Blank, Fixed, advice, form_of
from undiffuse.text.holes import Hole, Text, parse
from undiffuse.text.published_tokenizer import PublishedTokenizer
from undiffuse.text.tokenizer import Tokenizer
from undiffuse.vocabulary import Vocabulary

BPE = Tokenizer.train(["The capital of France is unable to be the capital of Spain. " * 9], 400)
BYTES = Tokenizer.byte_level()
PUBLISHED_BYTES = PublishedTokenizer(json.loads(BYTES.to_json()), BYTES.vocabulary)
EITHER = pytest.mark.parametrize("tokenizer", [BPE, BYTES], ids=["bpe", "byte"])


def spelled(tokenizer, source):
    return [
        tokenizer.decode_bytes(part.ids) if isinstance(part, Fixed) else part.prefix
        for part in form_of(parse(source), tokenizer).parts
    ]


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("The [MASK] of", [b"The", b" ", b" of"]),
        ("un[MASK]able", [b"un", b"", b"able"]),
        ("The  [MASK]", [b"The ", b" "]),
        ("[MASK] [MASK]", [b"", b" "]),
        (" [MASK]", [b" "]),
        ("is [MASK][MASK].", [b"is", b" ", b"", b"."]),
        ("line\n[MASK]\t[MASK]", [b"line\n", b"", b"\t", b""]),
    ],
)
def test_one_space_before_a_hole_moves_into_it(source, parts):
    assert spelled(BPE, source) == parts


@pytest.mark.parametrize(
    "tokenizer",
    [BYTES, PUBLISHED_BYTES, Tokenizer.train(["abab" * 99], 300), Tokenizer.train(["a    \n" * 99], 270)],
    ids=["own bytes", "published bytes", "merges without spaces", "merges of spaces alone"],
)
def test_where_no_token_takes_a_space_along_nothing_moves(tokenizer):
    assert not tokenizer.leading
    assert spelled(tokenizer, "The [MASK] of") == [b"The ", b"", b" of"]


def test_tokens_that_take_a_space_along_are_what_moves_it():
    assert BPE.leading
    assert PublishedTokenizer(json.loads(BPE.to_json()), BPE.vocabulary).leading
    assert (BPE.kind, BYTES.kind, PUBLISHED_BYTES.kind) == ("bpe", "byte", "byte")


def test_running_text_has_the_tokens_that_a_filled_layout_has():
    form = form_of(parse("The [MASK] of France"), BPE)
    before, blank, after = form.parts
    capital = BPE.encode(" capital")
    assert len(capital) == 1
    assert [*before.ids, *capital, *after.ids] == BPE.encode("The capital of France")
    assert blank == Blank(1, 1, b" ")
    assert blank.shown(b" capital") == "capital"


def test_lengths_and_blanks():
    form = form_of(parse("a[MASK:2-5]b____"), BYTES)
    assert [(blank.minimum, blank.maximum) for blank in form.blanks] == [(2, 5), (1, 8)]


@pytest.mark.parametrize(
    ("tokenizer", "source", "told"),
    [
        (BYTES, "a [MASK]", True),
        (PUBLISHED_BYTES, "a [MASK]", True),
        (BYTES, "a [MASK:3-8]", False),
        (BPE, "a [MASK]", False),
    ],
)
def test_a_byte_level_model_suggests_a_range(tokenizer, source, told):
    said = advice(form_of(parse(source), tokenizer), tokenizer)
    assert (said is not None) == told
    assert not told or "single bytes" in said
    if said:
        assert form_of(parse(said), tokenizer).blanks[1] == Blank(3, 8, b"")


@pytest.mark.parametrize("text", ["{x: yesno} [MASK:3]", r"\{x:yesno} {x: date} [MASK:3]"])
def test_what_would_be_a_hole_without_its_spaces_is_named_beside_others(text):
    assert advice(form_of(parse(text), BYTES), BYTES).endswith(
        "is plain text: a hole is written without spaces, " + ("{x:date}" if "date" in text else "{x:yesno}")
    )
    assert advice(form_of(parse(r'{"a": 1} \{x:date} [MASK:3]'), BYTES), BYTES) is None


def test_a_fill_may_begin_with_a_second_space():
    assert Blank(1, 3, b" ").shown(b"  x") == " x"
    assert Blank(1, 3, b"").shown(b" x") == " x"


@EITHER
@given(
    texts=st.lists(st.text(alphabet="The capitl\r\n é😀_", max_size=12), min_size=1, max_size=4),
    fill=st.text(min_size=1, max_size=3),
)
def test_fixed_text_comes_back_bit_for_bit(tokenizer, texts, fill):
    segments = [segment for text in texts for segment in ([Text(text)] if text else []) + [Hole(1, 4, "[MASK:1-4]")]]
    form = form_of(segments, tokenizer)
    fills = [blank.prefix + fill.encode() for blank in form.blanks]
    assert form.text(fills, tokenizer) == "".join(text + fill for text in texts)
    assert [blank.shown(data) for blank, data in zip(form.blanks, fills, strict=True)] == [fill] * len(texts)


@pytest.mark.parametrize(
    "normalizer",
    [tokenizers.normalizers.NFC(), tokenizers.normalizers.Lowercase(), tokenizers.normalizers.Prepend("_")],
    ids=["NFC", "lowercase", "prefix"],
)
def test_fixed_text_comes_back_bit_for_bit_whatever_the_tokenizer_makes_of_it(normalizer):
    """Letters with separate accents, compatibility forms, jamo and capitals, which these normalizers change."""
    library = tokenizers.Tokenizer(tokenizers.models.BPE())
    library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=True)
    library.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=260, initial_alphabet=alphabet, show_progress=False)
    library.train_from_iterator(["cafe"], trainer)
    library.normalizer = normalizer
    rows = Vocabulary(library.get_vocab_size() + 2, mask=library.get_vocab_size(), eos=library.get_vocab_size() + 1)
    codec = PublishedTokenizer(json.loads(library.to_str()), rows)
    text = "Cafe\u0301 \u212b \u1112\u1161\u11ab \uf900"
    assert codec.decode_bytes(codec.encode(text)).decode() != text
    form = form_of(parse(f"{text} [MASK] {text}"), codec)
    assert form.text([b" x"], codec) == f"{text} x {text}"
