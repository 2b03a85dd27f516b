"""Records in rows: whole, apart, each closed by its end, and with the room of a row behind them."""

import torch

from undiffuse.data.corpus import Corpus, Document
from undiffuse.data.packing import CLOSING, Dataset
from undiffuse.text.tokenizer import Tokenizer

BYTES = Tokenizer.byte_level()
EOS = BYTES.vocabulary.eos
TEXTS = [word * times for times in (1, 2, 3) for word in ("a", "bc", "def", "ghij")]


def dataset(texts, length=24, seed=3):
    return Dataset.of(Corpus(tuple(map(Document, texts))), BYTES, length, seed, records=True)


def held(batch):
    """The records of a batch's rows: their text, and how many ends follow it."""
    found = []
    for row in range(len(batch.ids)):
        document = torch.zeros_like(batch.ids[row]) if batch.document is None else batch.document[row]
        for number in document[batch.valid[row]].unique_consecutive():
            ids = batch.ids[row][(document == number) & batch.valid[row]].tolist()
            text = bytes(token for token in ids if token != EOS).decode()
            assert ids == [*text.encode(), *[EOS] * (len(ids) - len(text))], "ends stand behind"
            found.append((text, len(ids) - len(text)))
    return found


def epoch(data, number):
    return [record for i in range(data.rows) for record in held(data.batch(number * data.rows + i, 1))]


def test_every_record_is_whole_and_in_every_epoch_once():
    data = dataset(TEXTS)
    for number in range(4):
        records = epoch(data, number)
        assert sorted(text for text, _ in records) == sorted(TEXTS)
        assert all(ends >= 1 for _, ends in records)


def test_everything_that_exists_is_learned():
    data = dataset(TEXTS)
    batch = data.batch(0, data.rows)
    assert torch.equal(batch.valid, batch.editable)
    assert data.bytes == sum(map(len, TEXTS))
    assert data.tokens == data.bytes + CLOSING * len(TEXTS)
    assert sum(data.counts) == data.tokens
    assert data.counts[EOS] == CLOSING * len(TEXTS)


def test_how_many_ends_follow_changes_from_epoch_to_epoch():
    data = dataset(TEXTS)
    seen = [dict(epoch(data, number)) for number in range(30)]
    for text in TEXTS:
        assert len({ends[text] for ends in seen}) > 2, text
        assert min(ends[text] for ends in seen) < CLOSING < max(ends[text] for ends in seen)


def test_a_batch_is_a_function_of_the_step():
    for step in range(5):
        first, again = dataset(TEXTS).batch(step, 3), dataset(TEXTS).batch(step, 3)
        assert torch.equal(first.ids, again.ids)
        assert torch.equal(first.document, again.document)
    # also where the end of an epoch lies inside
    data = dataset(TEXTS)
    assert data.rows % 2 == 1
    together = held(data.batch(data.rows // 2, 2))
    apart = held(data.batch(data.rows - 1, 1)) + held(data.batch(data.rows, 1))
    assert together == apart


def test_a_record_longer_than_a_row_is_learned_in_pieces():
    text = "".join(map(chr, range(40, 100)))
    data = dataset([text, "short"], length=16)
    learned = [
        token
        for i in range(data.rows)
        for batch in [data.batch(i, 1)]
        for token in batch.ids[batch.editable].tolist()
        if token != EOS
    ]
    assert sorted(learned) == sorted([*text.encode(), *b"short"])
    closing = [text for text, _ in epoch(data, 0) if text.endswith(chr(99))]
    assert closing, "the last piece has its end"


def test_scoring_goes_through_every_record_in_order():
    data = dataset(TEXTS)
    batches, sizes = zip(*data.consecutive(2), strict=True)
    assert [record for batch in batches for record in held(batch)] == [(text, CLOSING) for text in TEXTS]
    assert int(torch.cat(sizes).sum()) == data.bytes
