"""Documents to rows of L tokens: every token is learned once per epoch, and the order is a function of the step.

Texts without prompts are joined into one stream, each document but a lone one closed by eos, and cut into rows; where
the cuts fall moves from epoch to epoch, so that no token stays at the edge of its row. Prompts and responses are packed
whole, as many as fit into a row. A row may hold several documents: `document` tells them apart.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ..randomness import Draws
from ..text.codec import Codec
from ..types import Batch
from .corpus import Corpus, Document


@dataclass(frozen=True, eq=False)
class Stream:
    """All tokens in a line. `starts` is where rows begin, or None when they may be cut anywhere."""

    ids: Int[Tensor, " T"]
    editable: Bool[Tensor, " T"]
    document: Int[Tensor, " T"]
    starts: Int[Tensor, " n"] | None

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


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows of `length` tokens. Batches depend on (seed, step) alone: a run resumes anywhere without any state."""

    stream: Stream
    length: int
    pad: int
    seed: int
    token_bytes: Int[Tensor, " V"]

    @classmethod
    def of(cls, corpus: Corpus, tokenizer: Codec, length: int, seed: int) -> "Dataset":
        """The corpus in rows of `length` tokens."""
        pad = tokenizer.vocabulary.pad or 0  # any row will do: nobody sees the padding
        sizes = torch.tensor([len(data) for data in tokenizer.tokens])
        if any(document.prompt is not None for document in corpus.documents):
            return cls(_records(corpus.documents, tokenizer, length), length, pad, seed, sizes)
        return cls(_texts(corpus.documents, tokenizer), length, pad, seed, sizes)

    @cached_property
    def rows(self) -> int:
        """Rows per epoch."""
        return len(self._cuts(0)) - 1

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
        index = torch.empty_like(sample)
        bounds = torch.empty(rows, 2, dtype=torch.long)
        for e in range(int(epoch[0]), int(epoch[-1]) + 1):
            here = epoch == e
            index[here] = self._order(e)[place[here]]
            cuts = self._cuts(e)
            bounds[here] = torch.stack([cuts[index[here]], cuts[index[here] + 1]], dim=-1)
        return self._gather(bounds, index, epoch)

    def consecutive(self, rows: int) -> Iterator[tuple[Batch, Int[Tensor, " rows"]]]:
        """All rows in the order of the text, for scoring: batches of at most `rows`, and the bytes scored per row."""
        cuts = self.stream.cuts(self.length, None)
        bounds = torch.stack([cuts[:-1], cuts[1:]], dim=-1)
        for index in torch.arange(len(bounds)).split(rows):
            batch = self._gather(bounds[index], index, torch.zeros_like(index))
            yield batch, (self.token_bytes[batch.ids.long()] * batch.editable).sum(-1)

    def _draws(self, purpose: str, epoch: int) -> Draws:
        return Draws.seeded(self.seed).stream(purpose).at(epoch)

    @cached_property
    def _order(self) -> Callable[[int], Int[Tensor, " n"]]:
        """Which row comes when, per epoch; the last two epochs are remembered."""
        return lru_cache(maxsize=2)(lambda epoch: self._draws("order of rows", epoch).along(self.rows).order())

    @cached_property
    def _cuts(self) -> Callable[[int], Int[Tensor, " n_plus_1"]]:
        """Where rows begin and end, per epoch."""
        return lru_cache(maxsize=2)(lambda epoch: self.stream.cuts(self.length, self._draws("offset of rows", epoch)))

    def _gather(self, bounds: Int[Tensor, "B 2"], index: Int[Tensor, " B"], epoch: Int[Tensor, " B"]) -> Batch:
        start, end = bounds[:, :1], bounds[:, 1:]
        place = start + torch.arange(self.length)
        valid = place < end
        place = place.clamp(max=len(self.stream.ids) - 1)
        document = torch.where(valid, self.stream.document[place], self.stream.document[start])
        several = bool((document != document[:, :1]).any())
        return Batch(
            ids=torch.where(valid, self.stream.ids[place].long(), self.pad),
            editable=valid & self.stream.editable[place],
            valid=valid,
            positions=torch.arange(self.length).expand(len(index), -1),
            index=index,
            epoch=epoch,
            slot=torch.arange(len(index)),
            document=document.long() if several else None,
        )


def _texts(documents: Sequence[Document], tokenizer: Codec) -> Stream:
    eos = _eos(tokenizer) if len(documents) > 1 else []
    return _stream([(tokenizer.encode(document.text) + eos, 0) for document in documents], None)


def _records(documents: Sequence[Document], tokenizer: Codec, length: int) -> Stream:
    """Whole records in order, a new row where the next does not fit.

    A record longer than a row becomes several pieces, so that every token of a response is learned once: each piece
    but a first one that fits takes at most half a row, and the rest goes to the tokens before it, to be read alone.
    """
    pieces: list[tuple[list[int], int]] = []
    for document in documents:
        prompt = [] if document.prompt is None else tokenizer.encode(document.prompt)
        codec = tokenizer.continuing if prompt else tokenizer
        pieces += _pieces(prompt, codec.encode(document.text) + _eos(tokenizer), length)
    starts, place, row = [0], 0, 0
    for ids, _ in pieces:
        if place + len(ids) - row > length:
            row = place
            starts.append(row)
        place += len(ids)
    return _stream(pieces, torch.tensor(starts))


def _pieces(prompt: list[int], response: list[int], length: int) -> Iterator[tuple[list[int], int]]:
    """Ids of each piece and how many of them, at its start, are context only."""
    ids = prompt + response
    half = (length + 1) // 2
    start, capacity = len(prompt), max(length - len(prompt), half)
    while start < len(ids):
        stop = min(start + capacity, len(ids))
        before = min(start, length - (stop - start))
        yield ids[start - before : stop], before
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
