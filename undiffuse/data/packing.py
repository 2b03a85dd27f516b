"""Documents to rows of L tokens: every token is learned once per epoch, and the order is a function of the step.

Texts without prompts are joined into one stream, each document but a lone one closed by eos, and cut into rows; where
the cuts fall moves from epoch to epoch, so that no token stays at the edge of its row. Prompts and responses are packed
whole, as many as fit into a row. So are records, and some of the room that is left in a row goes to the ends of its
records as more eos, by chance in every epoch: how long a record is, nothing but its text says. A row may hold several
documents: `document` tells them apart.

Answers (`Answering`) are packed like prompts and responses, or like records, on a canvas of one length: an answer is
followed by eos to the canvas's end, which a network that fills a canvas must have seen. Each token may have a weight
of its own in the loss; with `loss="response"` those of an answer, its ends included, are divided by their number.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from itertools import chain
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..randomness import Draws
from ..text.codec import Codec
from ..types import Batch
from .corpus import Corpus, Document
from .speech import Plain, Speech, Told

CLOSING = 3
"""Ends of text for which there is room after each record; so many stand after a text that is a record."""


@dataclass(frozen=True, eq=False)
class Stream:
    """All tokens in a line. `starts` is where rows begin, or None when they may be cut anywhere."""

    ids: Int[Tensor, " T"]
    editable: Bool[Tensor, " T"]
    document: Int[Tensor, " T"]
    starts: Int[Tensor, " n"] | None
    weight: Float[Tensor, " T"] | None = None

    def cuts(self, length: int, draws: Draws | None) -> Int[Tensor, " n_plus_1"]:
        """Row i is [cuts[i], cuts[i + 1]), at most `length` tokens; with draws, free cuts begin at a random place."""
        total = len(self.ids)
        if self.starts is not None:
            return torch.cat([self.starts, torch.tensor([total])])
        full = torch.arange(0, total, length)
        if draws is None or total <= length:
            return torch.cat([full, torch.tensor([total])])
        rest = total - int(full[-1])
        # a first row shorter than the last one leaves one row more, a longer one as many: the larger choice is made
        first = rest + draws.integers(length - rest) if 2 * rest <= length else 1 + draws.integers(rest - 1)
        return torch.cat(
            [torch.zeros(1, dtype=torch.long), torch.arange(int(first), total, length), torch.tensor([total])]
        )

    def laid(self, length: int, draws: Draws | None) -> tuple["Stream", Int[Tensor, " n_plus_1"]]:
        """The tokens of an epoch, and where they are cut."""
        return self, self.cuts(length, draws)


@dataclass(frozen=True, eq=False)
class Records:
    """Pieces of records, end to end, `sizes` tokens each; piece i lies in row `row[i]`, ascending.

    Those that `close` end with their record, and are followed by eos as often as there is room: `least` times or more
    often. Of records that are answers `loss` says what each token counts; their ends are learned if `ends` is true.
    """

    ids: Int[Tensor, " T"]
    editable: Bool[Tensor, " T"]
    sizes: Int[Tensor, " n"]
    row: Int[Tensor, " n"]
    closes: Bool[Tensor, " n"]
    eos: int
    loss: "Weights | None" = None
    ends: bool = True
    least: Int[Tensor, " n"] | None = None

    def laid(self, length: int, draws: Draws | None) -> tuple[Stream, Int[Tensor, " n_plus_1"]]:
        """The tokens of an epoch and where rows begin; without draws each record has `CLOSING` ends."""
        more = self._room(length, draws)
        whole = self.sizes + more
        document = torch.arange(len(whole)).repeat_interleave(whole)
        place = torch.arange(len(document)) - (whole.cumsum(0) - whole)[document]
        held = place < self.sizes[document]
        ids = torch.full((len(document),), self.eos, dtype=self.ids.dtype)
        editable = torch.ones(len(document), dtype=torch.bool)
        if not self.ends:
            editable[:] = False
        ids[held], editable[held] = self.ids, self.editable
        rows = int(self.row[-1]) + 1
        taken = torch.zeros(rows, dtype=torch.long).index_add(0, self.row, whole)
        starts = torch.cat([torch.zeros(1, dtype=torch.long), taken.cumsum(0)])
        last = self.sizes.cumsum(0) - 1
        source = torch.where(held, held.cumsum(0) - 1, last[document])  # an end counts as the token before it does
        weight = None if self.loss is None else self.loss.at(source, editable)
        return Stream(ids, editable, document.int(), None, weight), starts

    def _room(self, length: int, draws: Draws | None) -> Int[Tensor, " n"]:
        """How many eos more each piece has: what is left in a row is drawn for its records, or stays empty."""
        least = torch.zeros_like(self.sizes) if self.least is None else self.least
        if draws is None:
            few = (length - self.sizes).clamp(max=CLOSING - 1)
            return torch.where(self.closes, few if self.least is None else least, 0)
        rows = int(self.row[-1]) + 1
        index = torch.arange(len(self.row))[self.closes]
        count = torch.zeros(rows, dtype=torch.long).index_add(0, self.row[index], torch.ones_like(index))
        taken = torch.zeros(rows, dtype=torch.long).index_add(0, self.row, self.sizes + least)
        row = torch.arange(rows).repeat_interleave(length - taken)
        chosen = (draws.along(len(row)).uniform() * (count[row] + 1)).long()
        given = chosen < count[row]
        first = count.cumsum(0) - count
        piece = index[(first[row] + chosen)[given]]
        return least + torch.zeros(len(self.row), dtype=torch.long).index_add(0, piece, torch.ones_like(piece))


Padding = Literal["ignore", "eos-visible", "eos-trained"]
Counted = Literal["token", "response"]


@dataclass(frozen=True)
class Answering:
    """How prompts, conversations and their answers are learned.

    `padding` is what stands behind an answer: nothing ("ignore": the end of text is learned once), or ends of text up
    to the end of a canvas of `canvas` tokens, which are learned ("eos-trained"), or seen and never learned
    ("eos-visible": how much noise there is tells the network how long the answer is). The `loss` counts every token
    alike, or every response. `singly` learns each answer of a conversation by itself.
    """

    speech: Speech
    padding: Padding = "ignore"
    loss: Counted = "token"
    singly: bool = False
    canvas: int = 0


@dataclass(frozen=True, eq=False)
class Weights:
    """What each learned token counts: as `given`, or divided by the tokens of its `answer` that are learned."""

    given: Float[Tensor, " T"]
    answer: Int[Tensor, " T"]
    by_answer: bool

    def at(self, source: Int[Tensor, " U"], learned: Bool[Tensor, " U"]) -> Float[Tensor, " U"] | None:
        """Of tokens that count as those at `source` do; None where all count alike."""
        given, answer = self.given[source], self.answer[source]
        if not self.by_answer:
            return None if bool((given[learned] == 1).all()) else given
        sizes = torch.bincount(answer[learned], minlength=int(self.answer.max()) + 1)
        return torch.where(learned, given / sizes[answer.clamp(min=0)].clamp(min=1), 0.0)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of `length` tokens. Batches depend on (seed, step) alone: a run resumes anywhere without any state."""

    layout: Stream | Records
    length: int
    pad: int
    seed: int
    token_bytes: Int[Tensor, " V"]

    @classmethod
    def of(
        cls,
        corpus: Corpus,
        tokenizer: Codec,
        length: int,
        seed: int,
        records: bool = False,
        answering: Answering | None = None,
    ) -> "Dataset":
        """The corpus in rows of `length` tokens, its documents apart where they are records.

        `answering` says how what answers a prompt is learned; plainly, and packed, if nothing is said.
        """
        pad = tokenizer.vocabulary.pad or 0  # any row will do: nobody sees the padding
        sizes = torch.tensor([len(data) for data in tokenizer.tokens])
        if any(document.answers for document in corpus.documents):
            how = answering or Answering(Plain(tokenizer))
            return cls(_answers(told(corpus.documents, how), tokenizer, length, how), length, pad, seed, sizes)
        if records:
            return cls(_records(corpus.documents, tokenizer, length), length, pad, seed, sizes)
        return cls(_texts(corpus.documents, tokenizer), length, pad, seed, sizes)

    @cached_property
    def rows(self) -> int:
        """Rows per epoch."""
        return len(self._laid(0)[1]) - 1

    @cached_property
    def stream(self) -> Stream:
        """The tokens of an epoch, in the order of the text."""
        return self.layout.laid(self.length, None)[0]

    @property
    def counts(self) -> tuple[int, ...]:
        """How often the text has each row of the table, among the tokens that are learned."""
        learned = self.stream.ids[self.stream.editable].long()
        return tuple(torch.bincount(learned, minlength=len(self.token_bytes)).tolist())

    @property
    def tokens(self) -> int:
        """Tokens that are learned per epoch."""
        return int(self.stream.editable.sum())

    @property
    def bytes(self) -> int:
        """Bytes of the text that is learned per epoch."""
        return int(self.token_bytes[self.stream.ids.long()][self.stream.editable].sum())

    def batch(self, step: int, rows: int) -> Batch:
        """The global batch of a step, counted from 0: `rows` rows in the shuffled order of their epochs."""
        sample = step * rows + torch.arange(rows)
        epoch, place = sample // self.rows, sample % self.rows
        index, parts = torch.empty_like(sample), []
        for e in range(int(epoch[0]), int(epoch[-1]) + 1):
            here = epoch == e
            index[here] = self._order(e)[place[here]]
            stream, cuts = self._laid(e)
            parts.append(self._taken(stream, cuts, index[here]))
        return self._batch(_joined(parts), index, epoch)

    def consecutive(self, rows: int) -> Iterator[tuple[Batch, Int[Tensor, " rows"]]]:
        """All rows in the order of the text, for scoring: batches of at most `rows`, and the bytes scored per row."""
        stream, cuts = self.layout.laid(self.length, None)
        for index in torch.arange(len(cuts) - 1).split(rows):
            taken = replace(self._taken(stream, cuts, index), weight=None)  # a likelihood is of every token alike
            batch = self._batch(taken, index, torch.zeros_like(index))
            yield batch, (self.token_bytes[batch.ids.long()] * batch.editable).sum(-1)

    def _draws(self, purpose: str, epoch: int) -> Draws:
        return Draws.seeded(self.seed).stream(purpose).at(epoch)

    @cached_property
    def _order(self) -> Callable[[int], Int[Tensor, " n"]]:
        """Which row comes when, per epoch; the last two epochs are remembered."""
        return lru_cache(maxsize=2)(lambda epoch: self._draws("order of rows", epoch).along(self.rows).order())

    @cached_property
    def _laid(self) -> Callable[[int], tuple[Stream, Int[Tensor, " n_plus_1"]]]:
        """The tokens of an epoch, and where its rows begin and end."""
        return lru_cache(maxsize=2)(lambda epoch: self.layout.laid(self.length, self._draws("offset of rows", epoch)))

    def _taken(self, stream: Stream, cuts: Int[Tensor, " n_plus_1"], index: Int[Tensor, " B"]) -> "_Taken":
        start, end = cuts[index][:, None], cuts[index + 1][:, None]
        place = start + torch.arange(self.length)
        valid = place < end
        place = place.clamp(max=len(stream.ids) - 1)
        return _Taken(
            ids=torch.where(valid, stream.ids[place].long(), self.pad),
            editable=valid & stream.editable[place],
            valid=valid,
            document=torch.where(valid, stream.document[place], stream.document[start]),
            weight=None if stream.weight is None else torch.where(valid, stream.weight[place], 0.0),
        )

    def _batch(self, taken: "_Taken", index: Int[Tensor, " B"], epoch: Int[Tensor, " B"]) -> Batch:
        document = taken.document
        several = bool((document != document[:, :1]).any())
        return Batch(
            ids=taken.ids,
            editable=taken.editable,
            valid=taken.valid,
            positions=torch.arange(self.length).expand(len(index), -1),
            index=index,
            epoch=epoch,
            slot=torch.arange(len(index)),
            document=document.long() if several else None,
            weight=taken.weight,
        )


@dataclass(frozen=True, eq=False)
class _Taken:
    """Rows out of a stream."""

    ids: Int[Tensor, "B L"]
    editable: Bool[Tensor, "B L"]
    valid: Bool[Tensor, "B L"]
    document: Int[Tensor, "B L"]
    weight: Float[Tensor, "B L"] | None


def _joined(parts: Sequence[_Taken]) -> _Taken:
    """Rows of several epochs in their order."""
    values = {f.name: [getattr(part, f.name) for part in parts] for f in fields(_Taken)}
    return _Taken(**{name: None if each[0] is None else torch.cat(each) for name, each in values.items()})


def _texts(documents: Sequence[Document], tokenizer: Codec) -> Stream:
    eos = _eos(tokenizer) if len(documents) > 1 else []
    return _stream([(tokenizer.encode(document.text) + eos, 0) for document in documents], None)


def told(documents: Sequence[Document], how: Answering) -> list[Told]:
    """The tokens of every document; of conversations whose answers are learned singly, of every answer."""
    parts = chain.from_iterable(
        document.singly() if how.singly and document.messages else [document] for document in documents
    )
    return [how.speech.told(document) for document in parts]


def _answers(documents: Sequence[Told], tokenizer: Codec, length: int, how: Answering) -> Stream | Records:
    """Whole prompts and responses in order, a new row where the next does not fit, and what stands behind them.

    What is longer than a row becomes several pieces, so that every token of a response is learned once: each piece
    but a first one that fits takes at most half a row, and the rest goes to the tokens before it, to be read alone.
    """
    pieces: list[_Piece] = []
    first = 0
    for document in documents:
        pieces += _cut(document, length, first)
        first += max(document.answer) + 1
    weights = Weights(
        torch.tensor([weight for piece in pieces for weight in piece.weight]),
        torch.tensor([answer for piece in pieces for answer in piece.answer]),
        how.loss == "response",
    )
    stream = _stream([(piece.ids, piece.before) for piece in pieces], None)
    stream = replace(stream, editable=stream.editable & (weights.given > 0))
    sizes = torch.tensor([len(piece.ids) for piece in pieces])
    eos = tokenizer.vocabulary.eos
    if how.padding == "ignore" or eos is None:
        row = _rows(sizes.tolist(), length)
        starts = torch.tensor([number for number, each in enumerate(row) if number == 0 or each != row[number - 1]])
        weight = weights.at(torch.arange(len(stream.ids)), stream.editable)
        return replace(stream, starts=(sizes.cumsum(0) - sizes)[starts], weight=weight)
    closes = torch.tensor([piece.closes for piece in pieces])
    written = torch.tensor([piece.last for piece in pieces])
    least = torch.where(closes, (how.canvas - written).clamp(min=0).minimum(length - sizes), 0)
    row = torch.tensor(_rows((sizes + least).tolist(), length))
    return Records(stream.ids, stream.editable, sizes, row, closes, eos, weights, how.padding == "eos-trained", least)


@dataclass(frozen=True)
class _Piece:
    """Tokens of a row, the first `before` of them only read; `closes` where the last answer ends."""

    ids: list[int]
    before: int
    weight: list[float]
    answer: list[int]
    closes: bool

    @property
    def last(self) -> int:
        """Tokens of the last answer."""
        return self.answer.count(self.answer[-1])


def _cut(document: Told, length: int, first: int) -> Iterator[_Piece]:
    """A document's pieces, its answers counted from `first` on."""
    answer = [each + first if each >= 0 else -1 for each in document.answer]
    prompt = next(place for place, each in enumerate(answer) if each >= 0)
    for begin, before, stop in _spans(prompt, len(document.ids), length):
        part = slice(begin, stop)
        yield _Piece(document.ids[part], before, document.weight[part], answer[part], stop == len(document.ids))


def _records(documents: Sequence[Document], tokenizer: Codec, length: int) -> Records:
    """Whole records in order, each with room for as many ends as stand after it; a long one becomes pieces."""
    pieces: list[tuple[list[int], int]] = []
    closes: list[bool] = []
    for document in documents:
        found = list(_pieces([], tokenizer.encode(document.text) + _eos(tokenizer), length))
        pieces += found
        closes += [False] * (len(found) - 1) + [bool(_eos(tokenizer))]
    room = [min(len(ids) + (CLOSING - 1) * closed, length) for (ids, _), closed in zip(pieces, closes, strict=True)]
    stream = _stream(pieces, None)
    sizes = torch.tensor([len(ids) for ids, _ in pieces])
    eos = tokenizer.vocabulary.eos or 0  # of a vocabulary without one nothing closes
    return Records(stream.ids, stream.editable, sizes, torch.tensor(_rows(room, length)), torch.tensor(closes), eos)


def _rows(sizes: Sequence[int], length: int) -> list[int]:
    """The row of each piece: a new one where the next does not fit."""
    row, taken, found = 0, 0, []
    for size in sizes:
        if taken + size > length:
            row, taken = row + 1, 0
        taken += size
        found.append(row)
    return found


def _pieces(prompt: list[int], response: list[int], length: int) -> Iterator[tuple[list[int], int]]:
    """Ids of each piece and how many of them, at its start, are context only."""
    ids = prompt + response
    for begin, before, stop in _spans(len(prompt), len(ids), length):
        yield ids[begin:stop], before


def _spans(prompt: int, size: int, length: int) -> Iterator[tuple[int, int, int]]:
    """Where each piece begins, how many of its tokens are context only, and where it stops."""
    half = (length + 1) // 2
    start, capacity = prompt, max(length - prompt, half)
    while start < size:
        stop = min(start + capacity, size)
        before = min(start, length - (stop - start))
        yield start - before, before, stop
        start, capacity = stop, half


def _eos(tokenizer: Codec) -> list[int]:
    eos = tokenizer.vocabulary.eos
    return [] if eos is None else [eos]


def _stream(pieces: Sequence[tuple[list[int], int]], starts: Int[Tensor, " n"] | None) -> Stream:
    """Pieces end to end; the leading tokens of each, as many as it says, are not editable."""
    sizes = torch.tensor([len(ids) for ids, _ in pieces])
    document = torch.arange(len(pieces), dtype=torch.int32).repeat_interleave(sizes)
    offset = torch.arange(len(document)) - (sizes.cumsum(0) - sizes).repeat_interleave(sizes)
    context = torch.tensor([before for _, before in pieces]).repeat_interleave(sizes)
    ids = torch.tensor([token for ids, _ in pieces for token in ids], dtype=torch.int32)
    return Stream(ids, offset >= context, document, starts)
