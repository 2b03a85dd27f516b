"""The byte n-gram that a reader knows: what counting alone predicts, as a baseline for bits per byte.

Witten–Bell interpolation (Witten & Bell 1991, method C): with c(h, w) how often byte w followed context h in training,
c(h) = Σ_w c(h, w) and T(h) the number of different bytes that followed h,

    p(w | h) = (c(h, w) + T(h)·p(w | h without its first byte)) / (c(h) + T(h)),     p(w | nothing, never seen) = 1/256.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LARGEST_ORDER = 7  # a context and its byte are held in one 64-bit integer

Counts = tuple[NDArray[np.uint64], NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class Level:
    """Counts of one context length: of each (context, byte), of each context, and of the bytes that followed it."""

    grams: Counts
    contexts: Counts
    followers: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class NGram:
    """Byte n-grams with contexts of 0 to `order` bytes. Fit it with `NGram.fit`."""

    levels: tuple[Level, ...]

    @classmethod
    def fit(cls, texts: Iterable[bytes], order: int) -> "NGram":
        """Counts of all texts; no context reaches from one text into the next."""
        if not 0 <= order <= LARGEST_ORDER:
            raise ValueError(f"contexts of {order} bytes: choose 0 to {LARGEST_ORDER}")
        arrays = [np.frombuffer(text, np.uint8) for text in texts]
        data, reach = np.concatenate(arrays), np.concatenate([np.arange(len(array)) for array in arrays])
        return cls(tuple(_level(_codes(data, length + 1)[reach >= length]) for length in range(order + 1)))

    @property
    def order(self) -> int:
        return len(self.levels) - 1

    def log_prob(
        self, data: NDArray[np.uint8], reach: NDArray[np.int64], order: int | None = None
    ) -> NDArray[np.float64]:
        """ln p of every byte, in nats, given at most `reach` bytes right before it (and at most `order`)."""
        p = np.full(len(data), 1 / 256)
        for length, level in enumerate(self.levels[: None if order is None else order + 1]):
            if not len(level.followers):
                break  # no training text was so long
            at = np.flatnonzero(reach >= length)
            code = _codes(data, length + 1)[at]
            place, total = _find(level.contexts, code >> np.uint64(8))
            count = _find(level.grams, code)[1]
            kinds = np.where(total > 0, level.followers[place], 0)
            # an unseen context leaves the shorter one's answer as it is
            p[at] = np.where(total > 0, (count + kinds * p[at]) / np.maximum(total + kinds, 1), p[at])
        return np.log(p)

    def bits_per_byte(self, texts: Iterable[bytes], order: int | None = None) -> float:
        """Mean −log2 p over the bytes of the texts, each read from its own beginning."""
        bits = size = 0.0
        for text in texts:
            data = np.frombuffer(text, np.uint8)
            bits -= self.log_prob(data, np.arange(len(data)), order).sum() / np.log(2)
            size += len(data)
        return bits / size


def best_order(train: Iterable[bytes], held_out: Iterable[bytes], order: int = 6) -> tuple[int, float]:
    """The context length of 0 to `order` bytes that scores the held-out bytes best, and its bits per byte.

    The choice looks at the held-out bytes, which favors the n-gram: as a baseline that is the strict side.
    """
    held_out = list(held_out)
    model = NGram.fit(train, order)
    scores = [model.bits_per_byte(held_out, length) for length in range(order + 1)]
    best = int(np.argmin(scores))
    return best, scores[best]


def _codes(data: NDArray[np.uint8], length: int) -> NDArray[np.uint64]:
    """The last `length` bytes up to each position as one integer; positions before the start count as zero bytes."""
    code: NDArray[np.uint64] = np.zeros(len(data), np.uint64)
    for back in range(min(length, len(data))):
        code[back:] |= data[: len(data) - back].astype(np.uint64) << np.uint64(8 * back)
    return code


def _level(codes: NDArray[np.uint64]) -> Level:
    grams = np.unique(codes, return_counts=True)
    contexts, first, followers = np.unique(grams[0] >> np.uint64(8), return_index=True, return_counts=True)
    totals = np.add.reduceat(grams[1], first) if len(first) else np.zeros(0, np.int64)
    return Level(grams, (contexts, totals), followers)


def _find(counts: Counts, codes: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where each code is in the table (anywhere if it is not), and its count, 0 if it is not."""
    keys, values = counts
    place = np.minimum(np.searchsorted(keys, codes), len(keys) - 1)
    return place, np.where(keys[place] == codes, values[place], 0)
