"""Expressions over bytes as positions, and the sets of positions as a deterministic automaton, in bounded time.

Glushkov's automaton: every place of the expression at which a byte is read is a position, and the deterministic
automaton stands in the set of positions that may come next. There can be exponentially many such sets
(`[ab]*a[ab]{20}`), so they are counted as they are found, and too many end the construction.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

Array = np.ndarray
BYTES = 256
STATES = 4096
"""The largest automaton: a repeated character takes up to nine states each time, a letter of any script hundreds."""
MOST = 4 * STATES
"""Positions of an expression."""
WORK = 1 << 20
"""Pairs of neighboring positions, and positions in all states together."""


class TooLargeError(ValueError):
    """An expression whose automaton would take too much memory or time."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"it takes more than {what}; repeat less, or say where the repetition begins ([^b]*b.{{20}} for .*b.{{20}})"
        )


@dataclass
class Positions:
    """An expression. Sets are bits of integers: `reads` of bytes, the others of positions.

    A text begins at a position of `first` or is `empty`, goes on from position i at one of `follow[i]`, and ends at one
    of `last`.
    """

    reads: list[int] = field(default_factory=list)
    follow: list[int] = field(default_factory=list)
    first: int = 0
    last: int = 0
    empty: bool = True
    pairs: int = 0

    def then(self, other: "Positions") -> None:
        """Makes this the expression followed by another."""
        last, first = self.last, self._took(other)
        self._joined(last, first)
        self.first |= first if self.empty else 0
        self.last = self._moved(other, other.last) | (last if other.empty else 0)
        self.empty &= other.empty

    def either(self, other: "Positions") -> None:
        """Makes this one of both expressions."""
        self.first |= self._took(other)
        self.last |= self._moved(other, other.last)
        self.empty |= other.empty

    def repeated(self, least: int, most: int | None) -> "Positions":
        """The expression `least` to `most` times, None for without end.

        What may be empty is that without emptiness, from no time on: then each copy follows the one before alone.
        """
        least, empty = (0, True) if self.empty else (least, least == 0)
        copies = max(least, 1) if most is None else most
        if len(self.reads) * copies > MOST:
            raise TooLargeError(f"{STATES} states")
        found, last = Positions(), 0
        for number in range(1, copies + 1 if self.reads else 1):
            before, first = found.last, found._took(self)
            found._joined(before, first)
            found.first |= first if number == 1 else 0
            found.last = found._moved(self, self.last)
            last |= found.last if number >= least else 0
            if most is None and number == copies:
                found._joined(found.last, first)
        found.last, found.empty = last, empty or not copies
        return found

    def _took(self, other: "Positions") -> int:
        """Adds another's positions after the present ones; its first ones."""
        if len(self.reads) + len(other.reads) > MOST:
            raise TooLargeError(f"{STATES} states")
        at = len(self.reads)
        self.reads += other.reads
        self.follow += [after << at for after in other.follow]
        self.pairs += other.pairs
        return other.first << at

    def _moved(self, other: "Positions", positions: int) -> int:
        """Positions of the other that was added last."""
        return positions << len(self.reads) - len(other.reads)

    def _joined(self, before: int, after: int) -> None:
        self.pairs += before.bit_count() * after.bit_count()
        if self.pairs > WORK:
            raise TooLargeError(f"{WORK} pairs of neighboring characters")
        for position in _bits(before):
            self.follow[position] |= after

    def automaton(self) -> tuple[Array, Array]:
        """Its table (S + 1, 256), the last state dead and the first the start, and which states are final."""
        by_byte = self._by_byte()
        number: dict[tuple[int, bool], int] = {(self.first, self.empty): 0}
        states, rows, work = list(number), [], 0
        of_set: dict[int, int] = {}
        for following, _ in states:
            row = {}
            for bytes_, positions in by_byte.items():
                reached = following & positions
                if not reached:
                    continue
                if reached not in of_set:
                    work += reached.bit_count() + len(self.reads) // 1024
                    state = self._after(reached), bool(reached & self.last)
                    if state not in number:
                        number[state] = len(number)
                        states.append(state)
                    of_set[reached] = number[state]
                row[bytes_] = of_set[reached]
            if len(states) > STATES or work > WORK:
                raise TooLargeError(f"{STATES} states")
            rows.append(row)
        table: Array = np.full((len(rows) + 1, BYTES), len(rows), dtype=np.int64)
        for place, row in enumerate(rows):
            for bytes_, after in row.items():
                table[place, list(bytes_)] = after
        return table, np.array([final for _, final in states] + [False])

    def _after(self, positions: int) -> int:
        found = 0
        for position in _bits(positions):
            found |= self.follow[position]
        return found

    def _by_byte(self) -> dict[tuple[int, ...], int]:
        """Positions by the bytes that they read; bytes that the same positions read stand together."""
        of_label: dict[int, int] = {}
        for place, label in enumerate(self.reads):
            of_label[label] = of_label.get(label, 0) | 1 << place
        of_byte = [0] * BYTES
        for label, positions in of_label.items():
            for byte in _bits(label):
                of_byte[byte] |= positions
        together: dict[int, list[int]] = {}
        for byte, positions in enumerate(of_byte):
            together.setdefault(positions, []).append(byte)
        return {tuple(bytes_): positions for positions, bytes_ in together.items() if positions}


def of_bytes(data: bytes) -> Positions:
    """The expression of one text."""
    size = len(data)
    follow = [1 << place for place in range(1, size)] + [0] * (size > 0)
    return Positions([1 << byte for byte in data], follow, int(size > 0), 1 << size >> 1, size == 0, max(size - 1, 0))


def of_transitions(start: int, steps: Mapping[int, Mapping[int, int]], final: set[int]) -> Positions:
    """The expression of a deterministic automaton over bytes that never takes the empty text."""
    labels: dict[tuple[int, int], int] = {}
    for before, row in steps.items():
        for byte, after in row.items():
            if byte < BYTES:
                labels[before, after] = labels.get((before, after), 0) | 1 << byte
    leaving: dict[int, int] = {}
    for place, (before, _) in enumerate(labels):
        leaving[before] = leaving.get(before, 0) | 1 << place
    follow = [leaving.get(after, 0) for _, after in labels]
    last = sum(1 << place for place, (_, after) in enumerate(labels) if after in final)
    pairs = sum(after.bit_count() for after in follow)
    return Positions(list(labels.values()), follow, leaving.get(start, 0), last, False, pairs)


def _bits(number: int) -> Iterator[int]:
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest
