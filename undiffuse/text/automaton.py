"""Languages of token sequences: what a typed hole may hold, as a deterministic automaton over rows of the vocabulary.

A regular expression is an automaton over bytes (`expression`, `positions`); here every token becomes the composition of
its bytes' transitions, so half a character is as good a token as any, and a fill is whatever its tokens' bytes spell.
Tokens with the same transitions form a class, and all work is per class.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from itertools import islice

import numpy as np

from .expression import read

Array = np.ndarray
DEAD = -1
ENTRIES = 1 << 24
"""The largest table of listed texts: states times kinds of tokens."""
CANDIDATES = 32
"""How many lengths of a hole are considered, the shortest ones."""
MEMBERS = 64
"""The largest language that is written out."""


@dataclass(frozen=True, eq=False)
class Automaton:
    """`next` (S, C) is the state after a token of a class, DEAD for none; `of_token` (V,) the class of every row.

    It starts in state 0. A sequence of tokens belongs to the language if it ends where `final` (S,) is true.
    """

    next: Array
    final: Array
    of_token: Array

    @cached_property
    def edges(self) -> tuple[Array, Array, Array]:
        """State before, class, state after: all transitions that exist."""
        before, kind = np.nonzero(self.next != DEAD)
        return before, kind, self.next[before, kind]

    @cached_property
    def _hops(self) -> tuple[Array, Array]:
        before, _, after = self.edges
        pairs = np.unique(np.stack((before, after)), axis=1)
        return pairs[0], pairs[1]

    def _forward(self, states: Array, token: int | None) -> Array:
        reached = np.zeros_like(states)
        if token is None:
            before, after = self._hops
            reached[after[states[before]]] = True
            return reached
        after = self.next[states, self.of_token[token]]
        reached[after[after != DEAD]] = True
        return reached

    def _backward(self, states: Array, token: int | None) -> Array:
        if token is None:
            before, after = self._hops
            leading = np.zeros_like(states)
            leading[before[states[after]]] = True
            return leading
        after = self.next[:, self.of_token[token]]
        return (after != DEAD) & states[after]

    @property
    def _start(self) -> Array:
        return np.arange(len(self.final)) == 0

    def accepts(self, tokens: Iterable[int]) -> bool:
        return bool((reduce(self._forward, tokens, self._start) & self.final).any())

    def allowed(self, committed: Sequence[int | None], position: int) -> Array:
        """Per class (C,), whether its tokens may be committed at a position; `committed` holds None where undecided.

        Exact: true if and only if some choice for the other undecided positions ends in a member of the language.
        """
        before = reduce(self._forward, committed[:position], self._start)
        after = reduce(self._backward, reversed(committed[position + 1 :]), self.final)
        return self._leading(before, after)

    def allowed_everywhere(self, committed: Sequence[int | None]) -> Array:
        """`allowed` at every position (n, C), in time linear in the length."""
        before, after = [self._start], [self.final]
        for token in committed[:-1]:
            before.append(self._forward(before[-1], token))
        for token in reversed(committed[1:]):
            after.append(self._backward(after[-1], token))
        return np.stack([self._leading(*sets) for sets in zip(before, reversed(after), strict=True)])

    def _leading(self, before: Array, after: Array) -> Array:
        follow = self.next[before]
        return ((follow != DEAD) & after[follow]).any(0)

    def ahead(self, most: int) -> Array:
        """Whether some member's end lies k tokens ahead of each state, (most + 1, S) for k = 0, …, most."""
        states = [self.final]
        for _ in range(most):
            states.append(self._backward(states[-1], None))
        return np.stack(states)

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Numbers of tokens of the language's members, at least 1: the CANDIDATES shortest, ascending."""
        return tuple(islice(self._lengths(), CANDIDATES))

    @cached_property
    def members(self) -> tuple[tuple[int, ...], ...] | None:
        """The language's members of at least one token, the shortest first; None if they are more than MEMBERS."""
        leads = self.final
        while (more := leads | self._backward(leads, None)).sum() > leads.sum():
            leads = more
        goes_on = self._backward(leads, None)
        found: list[tuple[int, ...]] = []
        begun: list[tuple[int, tuple[int, ...]]] = [(0, ())] if goes_on[0] else []
        while begun and len(found) + len(begun) <= MEMBERS:  # each of either is a member, or has one at least
            further: list[tuple[int, tuple[int, ...]]] = []
            for state, tokens in begun:
                for kind in np.nonzero(self.next[state] != DEAD)[0]:
                    after = int(self.next[state, kind])
                    if leads[after] and len(further) <= MEMBERS:
                        rows = np.nonzero(self.of_token == kind)[0][: MEMBERS + 1].tolist()
                        further += [(after, (*tokens, row)) for row in rows]
            found += [tokens for state, tokens in further if self.final[state]]
            begun = [(state, tokens) for state, tokens in further if goes_on[state]]
        return None if begun or len(found) > MEMBERS else tuple(found)

    def _lengths(self) -> Iterable[int]:
        states, size = self._start, 0
        while states.any() and size < len(self.final) * (CANDIDATES + 1):
            states, size = self._forward(states, None), size + 1
            if (states & self.final).any():
                yield size


def of_sequences(sequences: Iterable[Sequence[int]], rows: int) -> Automaton:
    """The automaton of finitely many sequences of tokens, from a table of `rows` rows. ValueError for too many."""
    nodes: list[dict[int, int]] = [{}]
    ends = set()
    for sequence in sequences:
        node = 0
        for token in sequence:
            if token not in nodes[node]:
                nodes[node][token] = len(nodes)
                nodes.append({})
            node = nodes[node][token]
        ends.add(node)
    used = sorted({token for node in nodes for token in node})
    if len(nodes) * len(used) > ENTRIES:
        raise ValueError(
            f"its choices take {len(nodes)} tokens, {len(used)} of them different: list fewer or shorter ones"
        )
    of_token: Array = np.zeros(rows, dtype=np.int64)
    of_token[used] = np.arange(1, len(used) + 1)
    follow: Array = np.full((len(nodes), len(used) + 1), DEAD, dtype=np.int64)
    for state, branches in enumerate(nodes):
        for token, after in branches.items():
            follow[state, of_token[token]] = after
    return Automaton(follow, np.array([state in ends for state in range(len(nodes))]), of_token)


@lru_cache(maxsize=64)
def of_regex(pattern: str, tokens: tuple[bytes, ...], prefix: bytes = b"") -> Automaton:
    """Sequences of tokens whose bytes are `prefix` followed by a whole match of `pattern` (Rust's dialect).

    Tokens without bytes are in no member. ValueError for an expression that the library cannot read or that takes more
    than STATES states.
    """
    table, final = read(pattern).automaton()
    table, state = _with_prefix(table, 0, prefix)
    final = np.concatenate((final, np.zeros(len(table) - len(final), dtype=bool)))
    table, final = _trimmed(table, final, state)
    table = table.astype(np.int16)
    columns: list[Array] = [np.full(len(table), len(table) - 1, dtype=np.int16)]
    kinds = {columns[0].tobytes(): 0}
    of_token: Array = np.zeros(len(tokens), dtype=np.int64)
    usable = [row for row, data in enumerate(tokens) if data]
    for row, column in _composed(table, tokens, usable):
        kind = kinds.setdefault(column.tobytes(), len(columns))
        if kind == len(columns):
            columns.append(column)
        of_token[row] = kind
    follow = np.stack(columns, axis=1)[:-1].astype(np.int64)
    return Automaton(np.where(follow == len(table) - 1, DEAD, follow), final[:-1], of_token)


def _with_prefix(table: Array, start: int, prefix: bytes) -> tuple[Array, int]:
    """The table with states added at its end that read a prefix before `start`, and the first of them."""
    dead = np.nonzero((table == np.arange(len(table))[:, None]).all(1))[0][-1]
    for byte in reversed(prefix):
        added = np.full((1, 256), dead)
        added[0, byte] = start
        table, start = np.concatenate((table, added)), len(table)
    return table, start


def _trimmed(table: Array, final: Array, start: int) -> tuple[Array, Array]:
    """States on a way from the start to an end, the start first, and one dead state at the end."""
    useful = _closure(table, np.arange(len(table)) == start, backward=False) & _closure(table, final, backward=True)
    useful[start] = True
    order = [start, *(state for state in np.nonzero(useful)[0] if state != start)]
    place = np.full(len(table), len(order))
    place[order] = np.arange(len(order))
    trimmed = np.concatenate((place[table[order]], np.full((1, 256), len(order))))
    return trimmed, np.concatenate((final[order], [False]))


def _closure(table: Array, states: Array, backward: bool) -> Array:
    while True:
        more = states.copy()
        if backward:
            more |= states[table].any(1)
        else:
            more[table[states].ravel()] = True
        if (more == states).all():
            return states
        states = more


def _composed(table: Array, tokens: Sequence[bytes], rows: Iterable[int]) -> Iterator[tuple[int, Array]]:
    """Some rows with the state after their bytes, from every state. In alphabetical order prefixes are shared."""
    before, path = b"", [np.arange(len(table), dtype=table.dtype)]
    for row in sorted(rows, key=tokens.__getitem__):
        differ = (place for place, (a, b) in enumerate(zip(before, tokens[row], strict=False)) if a != b)
        shared = next(differ, min(len(before), len(tokens[row])))
        before = tokens[row]
        del path[shared + 1 :]
        for byte in before[shared:]:
            path.append(table[path[-1], byte])
        yield row, path[-1]
