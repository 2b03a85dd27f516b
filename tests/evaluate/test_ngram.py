"""The n-gram against Witten–Bell written out with dictionaries, and against what a distribution must be."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from undiffuse.evaluate.compressors import xz_bits_per_byte, xz_bits_per_byte_after
from undiffuse.evaluate.ngram import LARGEST_ORDER, NGram, best_order

LETTERS = st.binary(max_size=40).map(lambda data: bytes(b % 3 + 97 for b in data))


def witten_bell(texts, context, byte, order):
    """p(byte | context) by recursion from short contexts to long ones, in exact arithmetic."""
    p = Fraction(1, 256)
    for length in range(min(order, len(context)) + 1):
        suffix = context[len(context) - length :]
        follow = Counter(
            text[i + length] for text in texts for i in range(len(text) - length) if text[i : i + length] == suffix
        )
        if follow:
            p = (follow[byte] + len(follow) * p) / (follow.total() + len(follow))
    return p


@given(texts=st.lists(LETTERS, min_size=1, max_size=3), held_out=LETTERS.filter(len), order=st.integers(0, 4))
def test_probabilities_are_witten_bells(texts, held_out, order):
    model = NGram.fit(texts, order)
    exact = -sum(math.log2(witten_bell(texts, held_out[:i], byte, order)) for i, byte in enumerate(held_out))
    assert model.bits_per_byte([held_out]) == pytest.approx(exact / len(held_out), rel=1e-12)


def test_next_bytes_sum_to_one_also_at_the_largest_order():
    text = b"abracadabra, the cadaver had a bra\x00\x00\x00\x00\x00\xff\xff\xff\xff" * 3
    model = NGram.fit([text], LARGEST_ORDER)
    for context in (b"abracad", b"zzzzzzz", b"\x00" * 7, b"\xff" * 7, b"had", b""):
        data = np.array([[*context, byte] for byte in range(256)], np.uint8).ravel()
        reach = np.tile(np.arange(len(context) + 1), 256)
        last = model.log_prob(data, reach).reshape(256, -1)[:, -1]
        assert np.exp(last).sum() == pytest.approx(1.0, abs=1e-12)
        assert last[ord("r")] == pytest.approx(math.log(witten_bell([text], context, ord("r"), 7)), rel=1e-12)


def test_nul_bytes_are_not_taken_for_the_start_of_a_text():
    model = NGram.fit([b"\x00\x00a"], 2)
    assert math.exp(model.log_prob(np.frombuffer(b"a", np.uint8), np.array([0]))[0]) == pytest.approx(
        float(witten_bell([b"\x00\x00a"], b"", 97, 2))
    )


def test_a_shorter_order_reads_less():
    text, held_out = b"the cat sat on the mat " * 20, b"the hat "
    model = NGram.fit([text], 5)
    for order in range(6):
        assert model.bits_per_byte([held_out], order) == NGram.fit([text], order).bits_per_byte([held_out])


def test_the_best_order_is_the_best():
    train, held_out = [b"abcabcabc" * 30], [b"abcabcabc" * 3]
    order, bits = best_order(train, held_out)
    assert bits == min(NGram.fit(train, k).bits_per_byte(held_out) for k in range(7))
    assert bits == NGram.fit(train, order).bits_per_byte(held_out) < 0.2


def test_nothing_learned_is_eight_bits():
    assert NGram.fit([b""], 3).bits_per_byte([b"anything"]) == pytest.approx(8.0)


@pytest.mark.parametrize("order", [-1, LARGEST_ORDER + 1])
def test_orders_that_do_not_fit_into_an_integer(order):
    with pytest.raises(ValueError, match="choose 0 to 7"):
        NGram.fit([b"a"], order)


def test_xz_after_the_training_text_knows_it():
    text = np.random.default_rng(0).integers(97, 105, 4000, np.uint8).tobytes()
    assert xz_bits_per_byte(text) > 3.0  # eight letters at random are three bits each
    assert xz_bits_per_byte_after(text, text) < 0.2
