"""Proofreading with causal models: every word against all that could stand there, by enumeration."""

import math

import pytest
import torch
from letters import Letters
from small_causal import causal, law, nats, words

from undiffuse.errors import UserError
from undiffuse.exact.world import World
from undiffuse.language_model import LanguageModel
from undiffuse.text.tokenizer import Tokenizer

LETTERS = Letters(World(3, 1, torch.ones(3, dtype=torch.float64)))
TEXT = "abcabbcabac"  # a run longer than a quarter of the context: every letter stands alone
NEAR = 6  # a quarter of the context


@pytest.fixture(scope="module", params=[0, -1], ids=["own", "shifted"])
def letters(request) -> LanguageModel:
    return causal(LETTERS, offset=request.param)


@pytest.fixture(scope="module")
def bpe() -> LanguageModel:
    return causal(Tokenizer.train(["The quick brown fox jumps over the lazy dog. " * 9], 290), context=64)


def test_words_of_one_token_have_the_probabilities_of_enumeration(letters):
    found = letters.check(TEXT, threshold=0.0, proposals=9)
    first = letters.predictor.traits.first_given
    assert (found.words, found.tokens) == (len(TEXT) - first, len(TEXT))
    surprise, expected = 0.0, {}
    for place in range(first, len(TEXT)):
        each = law(letters, TEXT[:place], words(1), TEXT[place + 1 : place + 1 + NEAR])
        own = each.pop(TEXT[place])
        surprise -= math.log2(own)
        if max(each.values()) > own:
            expected[place] = own, each
    assert found.surprise == pytest.approx(surprise / found.words, rel=1e-4)
    assert {finding.start for finding in found.findings} == set(expected)
    assert [f.odds for f in found.findings] == sorted((f.odds for f in found.findings), reverse=True)
    for finding in found.findings:
        own, others = expected[finding.start]
        assert finding.probability == pytest.approx(own, rel=1e-4)
        assert finding.odds == pytest.approx(math.log2(max(others.values()) / own), abs=1e-4)
        assert {each.text: each.probability for each in finding.proposals} == pytest.approx(others, rel=1e-4)


def test_a_word_of_several_tokens_is_compared_with_fillings_of_several_lengths():
    model = causal(LETTERS)
    each = law(model, "", words(1, 2, 3, 4), "")
    (finding,) = model.check("cab", threshold=0.0, proposals=5, candidates=200).findings
    own = each.pop("cab")
    assert finding.tokens == 3
    assert finding.probability == pytest.approx(own, rel=1e-4)
    best = sorted(each.values(), reverse=True)[:5]
    assert [proposal.probability for proposal in finding.proposals] == pytest.approx(best, rel=1e-4)
    assert finding.odds == pytest.approx(math.log2(best[0] / own), abs=1e-4)


def test_the_right_side_may_be_cut(letters):
    alone = letters.check(TEXT, threshold=0.0, proposals=9, right=0)
    for finding in alone.findings:
        each = law(letters, TEXT[: finding.start], words(1), "")
        assert finding.probability == pytest.approx(each[finding.text], rel=1e-4)


def test_odds_are_those_of_the_whole_texts(bpe):
    """Whatever the candidates are: one proposal put in place of its word, in the tokens that it was found in."""
    text = "The quick brown fox jumps over the lazy dog. The dog jumps."
    found = bpe.check(text, threshold=0.0, proposals=2)
    encode, known = bpe.tokenizer.encode, 0
    for finding in found.findings:
        before, after = (encode(part) for part in (text[: finding.start], text[finding.end :]))
        tokens = [encode(finding.text), encode(finding.proposals[0].text)]
        if finding.tokens != 1 or any(len(each) != 1 for each in tokens):
            continue
        own, other = nats(bpe, [[*before, *each, *after[:16]] for each in tokens], len(before))
        assert finding.odds == pytest.approx((other - own) / math.log(2), abs=1e-3)
        known += 1
    assert known >= 3


@pytest.mark.slow
def test_many_texts_and_long_ones(letters):
    long = "".join("abc"[n * n % 7 % 3] for n in range(70))
    together = letters.check([long, TEXT], threshold=0.0)
    assert together == [letters.check(long, threshold=0.0), letters.check(TEXT, threshold=0.0)]
    assert together[0].words == 70 - letters.predictor.traits.first_given
    # what follows the 17th letter does not fit: the next window begins half a context before it
    known = {finding.start: finding for finding in letters.check(long, threshold=0.0).findings}
    for begin, places in ((0, range(1, 17)), (5, range(17, 22))):
        for place in known.keys() & set(places):
            each = law(letters, long[begin:place], words(1), long[place + 1 : place + 1 + NEAR])
            assert known[place].probability == pytest.approx(each[long[place]], rel=1e-3)
    assert known.keys() & set(range(17, 22))


def test_what_cannot_be_checked(letters, model):
    with pytest.raises(UserError, match="candidates is for causal models, and this one reads both sides as it is"):
        model.check("The fox", candidates=4)
    with pytest.raises(UserError, match="right is for causal models"):
        model.check("The fox", right=4)
    with pytest.raises(UserError, match="candidates must be at least 1, not 0"):
        letters.check(TEXT, candidates=0)
    with pytest.raises(UserError, match="judges a word by what stands before it; give more text"):
        causal(LETTERS, offset=-1).check("a")
