"""Keys and values of beginnings that several requests share: computed once, kept in pages of whole blocks.

In a network in which nobody sees what comes later, those of a beginning depend on its tokens alone. So a request whose
text begins like an earlier one's takes over what is there, and its first pass runs the rest. A page holds `size`
positions, the least multiple of the attention block that is `PAGE` at least, and is found by its tokens and those of
every page before it, compared one by one.

Pages are written once. A request copies them into its own memory as it begins, since a pass reads memory that lies
together; nothing points into a page, so any may go at any time: those that nobody used for longest go first, and all
of them before a request would have to wait for memory. A page is used with all that stand before it, so none outlives
what leads to it.
"""

import weakref
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from torch import Tensor

from ..decode.batch import Batch, Lane
from ..decode.caches.block import Block
from ..models.base import Denoiser
from ..models.kv import KV
from ..predictor import Predictor

PAGE = 16
"""Positions of a page, at least."""

Key = tuple[int, int, tuple[int, ...]]
"""A network, the page before (0: none), and the tokens."""


@dataclass(frozen=True, eq=False)
class Page:
    """Keys and values of some positions, of all layers by device; `number` is never given twice."""

    number: int
    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    @property
    def bytes(self) -> int:
        return sum(held.numel() * held.element_size() for held in (*self.keys, *self.values))


@dataclass(eq=False)
class Pages:
    """Those of all networks, `limit` bytes at most. `asked` and `found` count positions of texts that began."""

    limit: int
    bytes: int = 0
    asked: int = 0
    found: int = 0
    _pages: OrderedDict[Key, Page] = field(default_factory=OrderedDict)
    _networks: dict[int, "weakref.ref[Denoiser]"] = field(default_factory=dict)
    _last: int = 0

    def __len__(self) -> int:
        return len(self._pages)

    def take(self, predictor: Predictor, batch: Batch) -> int:
        """Fill the memory of requests that begin with what is there of their texts; how many positions that is."""
        found = 0
        for lane, place, row in _shareable(predictor, batch, range(len(batch))):
            ids = _settled(batch, row)
            path = self._path(predictor, ids)
            size = page_size(predictor)
            for number, page in enumerate(path):
                assert isinstance(lane.kept, KV)
                lane.kept.put(place, number * size, page.keys, page.values)
            self.asked += len(ids)
            found += len(path) * size
        self.found += found
        return found

    def keep(self, predictor: Predictor, batch: Batch, rows: Iterable[int]) -> None:
        """Keep pages of what some requests have computed of settled text."""
        size = page_size(predictor)
        for lane, place, row in _shareable(predictor, batch, rows):
            kept = lane.kept
            assert isinstance(kept, KV)
            done = int(kept.clean[place].long().cumprod(0).sum())
            ids = _settled(batch, row)[:done]
            path = self._path(predictor, ids)
            before = path[-1].number if path else 0
            for begin in range(len(path) * size, len(ids) - size + 1, size):
                self._last += 1
                page = Page(self._last, *kept.part(place, begin, begin + size))
                if page.bytes > self.limit:
                    return
                self._pages[self._network(predictor), before, tuple(ids[begin : begin + size])] = page
                self.bytes += page.bytes
                before = page.number
            self._path(predictor, ids)  # the first of them was used last
        self.shrink(self.limit)

    def shrink(self, limit: int) -> None:
        """Hold so many bytes at most from now on."""
        self.limit = limit
        gone = {number for number, network in self._networks.items() if network() is None}
        if gone:
            for key in [key for key in self._pages if key[0] in gone]:
                self.bytes -= self._pages.pop(key).bytes
            self._networks = {number: ref for number, ref in self._networks.items() if number not in gone}
        while self.bytes > limit:
            self.bytes -= self._pages.popitem(last=False)[1].bytes

    def _path(self, predictor: Predictor, ids: list[int]) -> list[Page]:
        """The pages of a beginning, as far as they are there: used now, the first of them last."""
        network, size = self._network(predictor), page_size(predictor)
        keys: list[Key] = []
        for begin in range(0, len(ids) - size + 1, size):
            before = self._pages[keys[-1]].number if keys else 0
            key = network, before, tuple(ids[begin : begin + size])
            if key not in self._pages:
                break
            keys.append(key)
        for key in reversed(keys):
            self._pages.move_to_end(key)
        return [self._pages[key] for key in keys]

    def _network(self, predictor: Predictor) -> int:
        for number, network in self._networks.items():
            if network() is predictor.denoiser:
                return number
        self._last += 1
        self._networks[self._last] = weakref.ref(predictor.denoiser)
        return self._last


def page_size(predictor: Predictor) -> int:
    """Positions of a page: whole attention blocks."""
    span = predictor.traits.block_length or 1
    return -(-PAGE // span) * span


def shares(predictor: Predictor) -> bool:
    """Whether what a network keeps of a beginning depends on the tokens of that beginning alone."""
    traits = predictor.traits
    return (
        "keys" in traits.keeps
        and (traits.one_sided or traits.block_length is not None)
        and traits.takes <= {"given"}  # vectors in the place of tokens, which no text here has
        and not (traits.floating or traits.feedback)
    )


def _shareable(predictor: Predictor, batch: Batch, rows: Iterable[int]) -> list[tuple[Lane, int, int]]:
    """The lane of each of some requests that may share, its place in the lane's memory, and its row."""
    if not shares(predictor):
        return []
    found, wanted = [], set(rows)
    for lane in batch.lanes:
        if isinstance(lane.cache, Block) and isinstance(lane.kept, KV) and not lane.shadows:
            for place, row in enumerate(lane.rows.tolist()):
                if row in wanted and batch.seats.each[row].how.copies == 1:
                    found.append((lane, place, row))
    return found


def _settled(batch: Batch, row: int) -> list[int]:
    """The tokens of a request before the first that is open."""
    canvas = batch.canvas
    settled = (canvas.valid[row] & ~canvas.pending[row]).long().cumprod(0)
    return canvas.ids[row, : int(settled.sum())].tolist()
