"""Answers in rows: every token of an answer once, ends of text to the end of a canvas, and what each token counts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from undiffuse.data.corpus import Corpus, Document
from undiffuse.data.packing import Answering, Dataset, told
from undiffuse.data.speech import Plain
from undiffuse.text.tokenizer import Tokenizer

BYTES = Tokenizer.byte_level()
EOS = BYTES.vocabulary.eos
PAIRS = (("ab", "c"), ("", "defg"), ("hij", "kl"))


def packed(pairs, length, **settings) -> Dataset:
    documents = tuple(Document(answer, prompt) for prompt, answer in pairs)
    return Dataset.of(Corpus(documents), BYTES, length, 0, answering=Answering(Plain(BYTES), **settings))


def test_a_canvas_is_filled_with_ends_that_are_learned_or_only_seen():
    for padding, learned in (("eos-trained", True), ("eos-visible", False)):
        dataset = packed(PAIRS, 10, padding=padding, canvas=6)
        batch = dataset.batch(0, dataset.rows)
        for number in range(dataset.rows):
            ids = batch.ids[number][batch.valid[number]].tolist()
            prompt, answer = next((p, a) for p, a in PAIRS if bytes(ids[: len(p + a)]) == (p + a).encode())
            ends = ids[len(prompt + answer) :]
            assert set(ends) == {EOS}
            assert len(ends) >= 6 - len(answer)
            seen = batch.editable[number][batch.valid[number]].tolist()
            once = [False] * len(prompt) + [True] * (len(answer) + 1)
            assert seen == once + [learned] * (len(ids) - len(once))


def test_without_a_canvas_an_end_is_learned_once_and_rows_are_shared():
    dataset = packed(PAIRS, 32)
    batch = dataset.batch(0, 1)
    assert dataset.rows == 1
    assert batch.ids[0][batch.valid[0]].tolist() == [*b"abc", EOS, *b"defg", EOS, *b"hijkl", EOS]
    assert batch.weight is None


@pytest.mark.parametrize("padding", ["ignore", "eos-trained", "eos-visible"])
def test_every_response_counts_alike_whatever_its_length(padding):
    dataset = packed(
        (*PAIRS, ("", "a very long answer, longer than a row")), 16, padding=padding, loss="response", canvas=5
    )
    batch = dataset.batch(0, dataset.rows)
    assert batch.weight is not None
    assert torch.equal(batch.weight > 0, batch.editable)
    assert batch.weight.sum().item() == pytest.approx(4)
    alike = packed(PAIRS, 16, padding=padding, canvas=5).batch(0, 3)
    assert alike.weight is None


def test_a_likelihood_counts_every_token_alike():
    dataset = packed(PAIRS, 16, loss="response")
    assert all(batch.weight is None for batch, _ in dataset.consecutive(4))


@given(
    pairs=st.lists(
        st.tuples(st.text("ab", max_size=9), st.text("cdef", min_size=1, max_size=40)), min_size=1, max_size=6
    ),
    length=st.integers(4, 24),
    padding=st.sampled_from(["ignore", "eos-trained", "eos-visible"]),
    canvas=st.integers(0, 12),
)
def test_every_token_of_an_answer_is_learned_once_an_epoch(pairs, length, padding, canvas):
    dataset = packed(pairs, length, padding=padding, canvas=canvas)
    answers = "".join(answer for _, answer in pairs)
    for step in range(2):
        batch = dataset.batch(step, dataset.rows)
        learned = batch.ids[batch.editable].tolist()
        assert sorted(row for row in learned if row != EOS) == sorted(answers.encode())
        assert learned.count(EOS) >= len(pairs)
        if padding != "eos-trained":
            assert learned.count(EOS) == len(pairs)
    documents = tuple(Document(answer, prompt) for prompt, answer in pairs)
    listed = told(documents, Answering(Plain(BYTES)))
    assert sum(weight > 0 for each in listed for weight in each.weight) == len(answers) + len(pairs)
