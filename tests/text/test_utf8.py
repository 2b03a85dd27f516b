"""The automaton against Python's decoder, and its claims about completions against enumeration of all fills."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undiffuse.text.tokenizer import Tokenizer
from undiffuse.text.utf8 import WHOLE, HoleText, step

EURO, GRIN, ACCENT = "€".encode(), "😀".encode(), "é".encode()
TOKENS = [
    b"a",
    b" ",
    b" b",
    EURO[:1],
    EURO[1:2],
    EURO[2:],
    b"x" + ACCENT[:1],
    ACCENT[1:] + b" ",
    GRIN[:2],
    GRIN[2:],
    b"\xff",
    b"",
]


def is_text(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def is_prefix_of_text(data):
    """By trying to end the last character with bytes from the corners of every range."""
    ends = [
        b"",
        *map(bytes, itertools.chain(*(itertools.product((0x80, 0x90, 0xA0, 0xBF), repeat=n) for n in (1, 2, 3)))),
    ]
    return any(is_text(data + end) for end in ends)


CORNERS = [
    0x00,
    0x7F,
    0x80,
    0x8F,
    0x90,
    0x9F,
    0xA0,
    0xBF,
    0xC1,
    0xC2,
    0xDF,
    0xE0,
    0xE1,
    0xEC,
    0xED,
    0xEE,
    0xEF,
    0xF0,
    0xF1,
    0xF3,
    0xF4,
    0xF5,
    0xFF,
]


@pytest.mark.parametrize("first", CORNERS)
def test_the_reader_is_pythons(first):
    for rest in itertools.chain.from_iterable(itertools.product([*CORNERS[:8], 0xC2], repeat=n) for n in range(4)):
        data = bytes([first, *rest])
        state = step(WHOLE, data)
        assert (state == WHOLE) == is_text(data)
        assert (state is not None) == is_prefix_of_text(data)


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_steps_compose(a, b):
    assert step(step(WHOLE, a), b) == step(WHOLE, a + b)


def completions(tokens, prefix, length):
    """All fills of a hole, by enumeration."""
    rows = range(len(tokens))
    for fill in itertools.product(rows, repeat=length):
        data = b"".join(tokens[i] for i in fill)
        if all(tokens[i] for i in fill) and is_text(data) and data.startswith(prefix) and len(data) > len(prefix):
            yield fill


@pytest.mark.parametrize("prefix", [b"", b" ", b" b"])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_allowed_means_that_a_completion_exists(prefix, length):
    hole = HoleText(TOKENS, prefix)
    fills = set(completions(TOKENS, prefix, length))
    states = random.Random(0).sample(
        list(itertools.product([None, *range(len(TOKENS))], repeat=length)), min(13**length, 150)
    )
    for committed in states:
        for position in (i for i, token in enumerate(committed) if token is None):
            classes = hole.allowed(committed, position)
            assert hole.allowed_everywhere(committed)[position] == classes
            allowed = {i for i in range(len(TOKENS)) if classes[hole.of_token[i]]}
            fitting = [f for f in fills if all(c is None or c == t for c, t in zip(committed, f, strict=True))]
            assert allowed == {fill[position] for fill in fitting}


@pytest.mark.parametrize("seed", range(20))
def test_any_order_of_allowed_choices_ends_in_text(seed):
    draw = random.Random(seed)
    tokenizer = Tokenizer.byte_level()
    hole = HoleText(tokenizer.tokens, b" ")
    committed = [None] * 7
    for position in draw.sample(range(7), 7):
        classes = hole.allowed(committed, position)
        # bytes inside characters are preferred, so that constraints meet
        choices = [i for i in range(256) if classes[hole.of_token[i]]]
        committed[position] = draw.choice([i for i in choices if i >= 128] or choices)
    text = tokenizer.decode_bytes(committed).decode()
    assert text.startswith(" ")
    assert len(text) > 1


def test_control_rows_are_never_allowed_and_few_classes_exist():
    tokenizer = Tokenizer.train(["größer, naïve, 東京 und 😀 " * 30], 330)
    hole = HoleText(tokenizer.tokens, b" ")
    vocabulary = tokenizer.vocabulary
    classes = hole.allowed([None, None], 0)
    assert not any(classes[hole.of_token[i]] for i in (vocabulary.mask, vocabulary.bos, vocabulary.eos, vocabulary.pad))
    assert len(classes) < 40


def test_a_lone_space_does_not_fill_a_hole_of_one_token():
    hole = HoleText(TOKENS, b" ")
    allowed = [TOKENS[i] for i in range(len(TOKENS)) if hole.allowed([None], 0)[hole.of_token[i]]]
    assert allowed == [b" b"]
    assert hole.allowed([None, None], 0)[hole.of_token[TOKENS.index(b" ")]]
