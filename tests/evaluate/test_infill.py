"""The filler against brute-force scores, blanks against the text they come from, intervals against their definition."""

import math

import pytest

from undiffuse.evaluate.infill import (
    NORMAL_95,
    Accuracy,
    Blank,
    NGramFiller,
    draw_token_blanks,
    draw_word_blanks,
    top1,
    words,
)
from undiffuse.evaluate.ngram import NGram
from undiffuse.text.tokenizer import Tokenizer

TEXT = "the cat sat on the mat, the dog ran to the man, and the cow ate the hay. " * 4


def bits(model, text):
    return model.bits_per_byte([text]) * len(text)


@pytest.mark.parametrize("order", [0, 2, 5])
def test_scores_are_the_probabilities_of_whole_texts(order):
    model = NGram.fit([TEXT.encode()], order)
    candidates = (b"cat", b"x", b",", b"mat, the")
    left, right = b"on the ", b" sat on"
    scores = NGramFiller(model, candidates).scores(left, right)
    whole = [-math.log(2) * bits(model, left + candidate + right[:order]) for candidate in candidates]
    assert [s - scores[0] for s in scores] == pytest.approx([w - whole[0] for w in whole], abs=1e-9)


def test_both_sides_count():
    fill = NGramFiller(NGram.fit([TEXT.encode()], 6), words(TEXT))
    assert fill(Blank(b"", b"dog", b" ran to the man")) == b"dog"
    assert fill(Blank(b"", b"cow", b" ate the hay")) == b"cow"
    assert fill(Blank(b"hay. the ", b"cat", b" sat")) == b"cat"


def test_token_blanks_are_windows_of_the_text():
    tokenizer = Tokenizer.train([TEXT], 290)
    ids = tokenizer.encode(TEXT)
    blanks = draw_token_blanks(ids, 20, 9, seed=1)
    spelled = [blank.spelled(tokenizer) for blank in blanks]
    assert len(set(blanks)) > 1
    assert all(len(blank.ids) == 9 for blank in blanks)
    assert all((b.left + b.truth + b.right).decode() in TEXT and b.truth for b in spelled)
    assert draw_token_blanks(ids, 20, 9, seed=1) == blanks
    assert draw_token_blanks(ids, 20, 9, seed=2) != blanks
    assert len(draw_token_blanks(ids, len(ids), 10**6, seed=1)) == len(ids)


def test_word_blanks_are_whole_words_and_distinct_places():
    blanks = draw_word_blanks(TEXT, 15, 12, seed=1)
    assert {blank.truth for blank in blanks} <= set(words(TEXT))
    for blank in blanks:
        assert (blank.left + blank.truth + blank.right).decode() in TEXT
        assert not blank.left[-1:].isalpha()
        assert not blank.right[:1].isalpha()
    with pytest.raises(ValueError, match="100 blanks cannot be drawn from 2 places"):
        draw_word_blanks("two words", 100, 5, seed=0)


def test_words_are_letters():
    assert words("It's 3 o'clock_é, it") == tuple(w.encode() for w in ("It", "clock", "it", "o", "s", "é"))


@pytest.mark.parametrize(("correct", "count"), [(0, 10), (3, 10), (224, 500), (10, 10)])
def test_interval_ends_are_where_the_score_test_rejects(correct, count):
    accuracy = Accuracy(correct, count)
    for end, trivial in zip(accuracy.interval, (0.0, 1.0), strict=True):
        if end != trivial:
            assert abs(accuracy.share - end) / math.sqrt(end * (1 - end) / count) == pytest.approx(NORMAL_95)
    low, high = accuracy.interval
    assert low <= accuracy.share <= high


def test_separated_means_no_common_point():
    assert Accuracy(300, 500).separated_from(Accuracy(200, 500))
    assert Accuracy(200, 500).separated_from(Accuracy(300, 500))
    assert not Accuracy(250, 500).separated_from(Accuracy(260, 500))


def test_top1_asks_everyone_the_same():
    blanks = [Blank(b"", b"a", b""), Blank(b"x", b"b", b"")]
    assert top1(blanks, {"always a": lambda _: b"a", "right": lambda blank: blank.truth}) == {
        "always a": Accuracy(1, 2),
        "right": Accuracy(2, 2),
    }
