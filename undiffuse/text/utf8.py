"""Which tokens a hole may hold, so that what it ends up holding is text.

Tokens are bytes, and several may share one character. In whatever order positions are decided, a token is allowed
exactly if the undecided positions can still be completed to the hole's prefix followed by one or more whole UTF-8
characters. Each token is a function from states of a UTF-8 reader to states; few of these functions differ, so all work
is per class.
"""

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, reduce
from itertools import accumulate

import numpy as np

from .automaton import DEAD, Automaton

# States of the reader: between characters, or what may follow one byte (Unicode 15.0, table 3-7).
WHOLE, ONE, TWO, THREE, AFTER_E0, AFTER_ED, AFTER_F0, AFTER_F4 = range(8)
READER: tuple[tuple[tuple[int, int, int], ...], ...] = (
    (
        (0x00, 0x7F, WHOLE),
        (0xC2, 0xDF, ONE),
        (0xE0, 0xE0, AFTER_E0),
        (0xE1, 0xEC, TWO),
        (0xED, 0xED, AFTER_ED),
        (0xEE, 0xEF, TWO),
        (0xF0, 0xF0, AFTER_F0),
        (0xF1, 0xF3, THREE),
        (0xF4, 0xF4, AFTER_F4),
    ),
    ((0x80, 0xBF, WHOLE),),
    ((0x80, 0xBF, ONE),),
    ((0x80, 0xBF, TWO),),
    ((0xA0, 0xBF, ONE),),
    ((0x80, 0x9F, ONE),),
    ((0x90, 0xBF, TWO),),
    ((0x80, 0x8F, TWO),),
)


def step(state: int | None, data: Iterable[int]) -> int | None:
    """The reader's state after more bytes; None when no continuation is valid UTF-8."""
    for byte in data:
        if state is None:
            return None
        state = next((to for low, high, to in READER[state] if low <= byte <= high), None)
    return state


def whole_characters(data: bytes) -> str:
    """Text without the beginning of a character that a limit cut off, as it may be of a causal model."""
    return codecs.getincrementaldecoder("utf-8")().decode(data)


def _kinds() -> bytes:
    """For every byte the first that the reader does not tell from it: a large vocabulary has few tokens of bytes so."""
    first: dict[tuple[int | None, ...], int] = {}
    return bytes(first.setdefault(tuple(step(state, [b]) for state in range(len(READER))), b) for b in range(256))


KIND = _kinds()


@dataclass(frozen=True, eq=False)
class HoleText:
    """The bytes of every row of the vocabulary (empty for rows a hole may never hold) and the prefix of a hole.

    States beyond the reader's: 8 + i has read i bytes of the prefix. The last of them reads on as WHOLE does, but a
    fill may not end there: a hole holds at least one character.
    """

    tokens: Sequence[bytes]
    prefix: bytes = b""

    @property
    def start(self) -> int:
        return len(READER)

    def _step(self, state: int, data: bytes) -> int | None:
        while data and self.start <= state < self.start + len(self.prefix):
            if data[0] != self.prefix[state - self.start]:
                return None
            state, data = state + 1, data[1:]
        if state < self.start or not data:
            return step(state, data)
        return step(WHOLE, data)

    @cached_property
    def _classes(self) -> tuple[tuple[int, ...], tuple[tuple[int | None, ...], ...]]:
        states = range(self.start + len(self.prefix) + 1)
        index: dict[tuple[int | None, ...], int] = {}
        dead = (None,) * len(states)
        alike: dict[tuple[bytes, bytes], int] = {}  # the kinds of a token's bytes, and those that may be the prefix
        of_token = []
        for data in self.tokens:
            key = data[: len(self.prefix)], data.translate(KIND)
            if key not in alike:
                function = tuple(self._step(state, data) for state in states) if data else dead
                alike[key] = index.setdefault(function, len(index))
            of_token.append(alike[key])
        return tuple(of_token), tuple(index)

    @cached_property
    def of_token(self) -> np.ndarray:
        """The class of every row."""
        return np.array(self._classes[0])

    @cached_property
    def automaton(self) -> Automaton:
        """The same as a language of any length, whose state 0 is where a hole starts."""
        table = np.array([[DEAD if to is None else to for to in function] for function in self._classes[1]]).T
        order = np.arange(len(table))
        order[[0, self.start]] = order[[self.start, 0]]  # an exchange, which is its own inverse
        moved = np.where(table == DEAD, DEAD, order[table])[order]
        return Automaton(moved, order == WHOLE, self.of_token)

    @cached_property
    def _maps(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """Per class, the pairs (state before, state after) as bits."""
        return tuple(
            tuple((1 << s, 1 << to) for s, to in enumerate(function) if to is not None) for function in self._classes[1]
        )

    @cached_property
    def _any(self) -> tuple[tuple[int, int], ...]:
        return tuple({pair for pairs in self._maps for pair in pairs})

    def _pairs(self, token: int | None) -> tuple[tuple[int, int], ...]:
        return self._any if token is None else self._maps[self.of_token[token]]

    def allowed(self, committed: Sequence[int | None], position: int) -> list[bool]:
        """Per class, whether its tokens may be committed at a position; `committed` holds None where undecided.

        Exact: true if and only if some choice for the other undecided positions makes the whole fill valid. Deciding
        one position at a time among allowed tokens therefore never ends in a dead end.
        """
        before = reduce(_forward, map(self._pairs, committed[:position]), 1 << self.start)
        after = reduce(_backward, map(self._pairs, reversed(committed[position + 1 :])), 1 << WHOLE)
        return self._leading(before, after)

    def allowed_everywhere(self, committed: Sequence[int | None]) -> list[list[bool]]:
        """`allowed` at every position, in time linear in the length; what a position itself holds does not matter."""
        pairs = [self._pairs(token) for token in committed]
        before = accumulate(pairs[:-1], _forward, initial=1 << self.start)
        after = [*accumulate(pairs[:0:-1], _backward, initial=1 << WHOLE)][::-1]
        around = list(zip(before, after, strict=True))
        for states in around:  # few of them differ: undecided stretches repeat one, and so do holes
            if states not in self._found:
                self._found[states] = self._leading(*states)
        return [self._found[states] for states in around]

    @cached_property
    def _found(self) -> dict[tuple[int, int], list[bool]]:
        """`_leading` of the pairs of sets that were asked for."""
        return {}

    def _leading(self, before: int, after: int) -> list[bool]:
        """The classes with a way from one set of states into another."""
        return [any(s & before and to & after for s, to in pairs) for pairs in self._maps]


@cache
def _forward(states: int, pairs: tuple[tuple[int, int], ...]) -> int:
    return reduce(int.__or__, (to for s, to in pairs if s & states), 0)


@cache
def _backward(states: int, pairs: tuple[tuple[int, int], ...]) -> int:
    return reduce(int.__or__, (s for s, to in pairs if to & states), 0)
