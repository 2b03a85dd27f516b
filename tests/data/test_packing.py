"""Rows: every token once per epoch, an order that is a function of the step, and bounds between documents."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from undiffuse.data.corpus import Corpus, Document
from undiffuse.data.packing import Dataset
from undiffuse.text.tokenizer import Tokenizer

BYTES = Tokenizer.byte_level()
EOS, PAD = BYTES.vocabulary.eos, BYTES.vocabulary.pad


def dataset(documents, length, seed=3, tokenizer=BYTES):
    return Dataset.of(Corpus(tuple(documents)), tokenizer, length, seed)


def numbered(count):
    """A text in which every token is different from its neighbors far around."""
    return "".join(chr(256 + i) for i in range(count))


def learned(batch):
    return batch.ids[batch.editable].tolist()


@pytest.mark.parametrize("size", [1, 7, 8, 9, 12, 13, 15, 16, 17, 31, 40])
def test_every_token_once_per_epoch_at_any_size(size):
    text = numbered(40)[:size]
    data = dataset([Document(text)], 8)
    expected = sorted(text.encode())
    for epoch in range(6):
        batches = [data.batch(epoch * data.rows + i, 1) for i in range(data.rows)]
        assert sorted(token for batch in batches for token in learned(batch)) == expected
        assert {int(batch.epoch) for batch in batches} == {epoch}
        assert all(batch.valid.any() for batch in batches)
        assert sorted(int(batch.index) for batch in batches) == list(range(data.rows))
    assert data.tokens == data.bytes == len(text.encode())


@pytest.mark.slow
@given(
    texts=st.lists(st.text(min_size=1, max_size=30), min_size=2, max_size=6),
    length=st.integers(2, 20),
    rows=st.integers(1, 5),
)
def test_documents_come_back_from_the_rows_of_an_epoch(texts, length, rows):
    data = dataset([Document(text) for text in texts], length)
    found = {}
    for step in range(-(-data.rows // rows)):
        batch = data.batch(step, rows)
        for row in range(rows):
            if batch.epoch[row] == 0:
                found[int(batch.index[row])] = batch.ids[row][batch.valid[row]].tolist()
    stream = [token for i in sorted(found) for token in found[i]]
    assert stream == [token for text in texts for token in [*text.encode(), EOS]]


def test_a_batch_is_a_function_of_seed_and_step():
    documents = [Document(numbered(100)), Document(numbered(60))]
    one, two = dataset(documents, 16), dataset(documents, 16)
    late = one.batch(9, 4)
    for step in range(9):
        two.batch(step, 4)
    again = two.batch(9, 4)
    for name in ("ids", "editable", "valid", "positions", "index", "epoch", "slot"):
        assert torch.equal(getattr(late, name), getattr(again, name))
    assert not torch.equal(late.ids, dataset(documents, 16, seed=4).batch(9, 4).ids)


def test_order_and_cuts_change_from_epoch_to_epoch():
    data = dataset([Document(numbered(400))], 16)
    orders = [[int(data.batch(e * data.rows + i, 1).index) for i in range(data.rows)] for e in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    first = [data.batch(e * data.rows + order.index(1), 1).ids[0, 0] for e, order in enumerate(orders)]
    assert len(set(map(int, first))) > 1


def test_the_size_of_batches_does_not_change_the_order():
    data = dataset([Document(numbered(300))], 16)
    large = data.batch(0, 12).ids
    assert torch.equal(large, torch.cat([data.batch(step, 3).ids for step in range(4)]))


def test_rows_are_right_padded():
    batch = dataset([Document("abcde")], 8).batch(0, 1)
    assert batch.ids.tolist() == [[*b"abcde", PAD, PAD, PAD]]
    assert batch.valid.tolist() == [[True] * 5 + [False] * 3]
    assert torch.equal(batch.editable, batch.valid)
    assert batch.positions.tolist() == [list(range(8))]
    assert batch.document is None


def test_rows_with_several_documents_tell_them_apart():
    data = dataset([Document("aaa"), Document("bb")], 16)
    batch = data.batch(0, 1)
    row = batch.ids[0][batch.valid[0]].tolist()
    assert row == [*b"aaa", EOS, *b"bb", EOS]
    marks = batch.document[0][: len(row)].tolist()
    assert len(set(marks[:4])) == len(set(marks[4:])) == 1
    assert marks[0] != marks[4]


def test_a_lone_text_has_no_end_and_no_bounds():
    batch = dataset([Document("abcdefgh")], 4).batch(0, 2)
    assert EOS not in batch.ids
    assert batch.document is None


def test_responses_alone_are_learned():
    data = dataset([Document("yes", "is it? "), Document("no", "or? ")], 32)
    batch = data.batch(0, 1)
    assert bytes(batch.ids[0][batch.valid[0] & ~batch.editable[0]].tolist()) == b"is it? or? "
    assert learned(batch) == [*b"yes", EOS, *b"no", EOS]
    assert data.tokens == 7
    assert data.bytes == 5
    assert [size.tolist() for _, size in data.consecutive(1)] == [[5]]


def test_records_are_not_cut_where_they_fit():
    data = dataset([Document("rrrr", "ppp") for _ in range(5)], 20)
    assert data.rows == 3  # two records of eight tokens per row
    for step in range(3):
        batch = data.batch(step, 1)
        assert batch.ids[0][batch.valid[0]].tolist() == ([*b"ppprrrr", EOS] * 2)[: int(batch.valid.sum())]


@given(prompt=st.integers(0, 30), response=st.integers(1, 60), length=st.integers(2, 16))
def test_a_long_record_is_learned_once_with_what_came_before_it(prompt, response, length):
    letters = "".join(chr(32 + i) for i in range(90))
    record = Document(letters[prompt : prompt + response], letters[:prompt])
    ids = [*letters[: prompt + response].encode(), EOS]
    data = dataset([record], length)
    place = prompt
    for batch, _ in data.consecutive(1):
        for mark in batch.document[0].unique() if batch.document is not None else [None]:
            here = batch.valid[0] if mark is None else batch.valid[0] & (batch.document[0] == mark)
            piece = batch.ids[0][here].tolist()
            context = int((~batch.editable[0])[here].sum())
            assert piece == ids[place - context : place - context + len(piece)]
            assert context >= min(place, length // 2)
            place += len(piece) - context
    assert place == len(ids)


def test_scoring_goes_through_the_text_in_order_and_counts_its_bytes():
    text = "größe " * 30
    tokenizer = Tokenizer.train([text], 280)
    data = dataset([Document(text), Document("end")], 9, tokenizer=tokenizer)
    ids, sizes = [], []
    for batch, size in data.consecutive(4):
        ids += learned(batch)
        sizes += size.tolist()
        assert [
            len(tokenizer.decode_bytes(r[e].tolist())) for r, e in zip(batch.ids, batch.editable, strict=True)
        ] == size.tolist()
    eos = tokenizer.vocabulary.eos
    assert ids == [*tokenizer.encode(text), eos, *tokenizer.encode("end"), eos]
    assert sum(sizes) == data.bytes == len((text + "end").encode())
