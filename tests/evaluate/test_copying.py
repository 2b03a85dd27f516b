"""Copies, against every substring tried in turn."""

from hypothesis import given
from hypothesis import strategies as st

from undiffuse.evaluate.copying import RUN, copying

LETTERS = st.text("ab", max_size=14)


@given(generated=LETTERS, training=st.lists(LETTERS, min_size=1, max_size=3), run=st.integers(1, 6))
def test_against_all_substrings(generated, training, run):
    found = copying(generated, training, run)
    spans = [(i, j) for i in range(len(generated)) for j in range(i, len(generated) + 1)]
    copied = [(i, j) for i, j in spans if any(generated[i:j] in text for text in training)]
    assert len(found.longest) == max((j - i for i, j in copied), default=0)
    assert found.longest in generated
    assert any(found.longest in text for text in training)
    inside = {place for i, j in copied if j - i >= run for place in range(i, j)}
    assert found.share * max(len(generated), 1) == len(inside)


def test_a_planted_sentence_is_found():
    sentence = "We are accounted poor citizens, the patricians good."
    found = copying(f"0123456789{sentence}9876543210", [f"abc{sentence}def", "zzz"])
    assert found.longest == sentence
    assert found.share == len(sentence) / (len(sentence) + 20)
    assert found.run == RUN
