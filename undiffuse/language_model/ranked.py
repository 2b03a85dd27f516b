"""Holes of a causal model: candidates from the left, ranked by the exact probability of what follows them.

With the holes x_1 … x_m of a text in reading order, F_i the fixed tokens after hole i and F_0 those before the first,

    p(x_1 … x_m | F) ∝ p(x_1 … x_m, F_1 … F_m | F_0) = Π_i p(x_i | all before it) · p(F_i | all before it),

every factor by the chain rule of the network (`likelihood/continuations.py`). Fillings of several lengths are compared
by the same product: each is a text of its own, and no length needs a prior. What cannot be done is the sum over all
fillings, so a beam goes from left to right:

    a hole        one token after the other: of all tokens that the hole's automaton (whole characters, or its type)
                  lets follow any of the beginnings, the `count` best are kept, by ln p of everything so far; every
                  beginning that is a member of an admitted length is a filling
    what follows  ln p(F_i | …) is added to each filling. If they are more than `count`, which only holes of several
                  lengths bring about, the first `READ` tokens of F_i say which `count` are read to the end

With `count` at least the number of fillings this is enumeration. The weights of the survivors, normalized among
themselves, are p(filling | both sides, it is one of them). `covered` is the share of the left side's probability that
the kept tokens had of all that could have stood there, multiplied along the hole: of one token the exact share.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..decode.evaluation import Evaluate, Evaluated
from ..likelihood.continuations import Continuations, joined
from ..text.automaton import Array, Automaton

Tokens = tuple[int, ...]
READ = 4
"""Tokens after a hole that choose among too many fillings."""


@dataclass(frozen=True, eq=False)
class Slot:
    """A hole as the beam sees it: what may stand there, in how many tokens, and how many beginnings are kept."""

    language: Automaton
    lengths: tuple[int, ...]
    count: int

    def open(self, size: int) -> Array:
        """The states (S,) after `size` tokens from which a member of an admitted length can still be reached."""
        return np.any([self._ahead[length - size] for length in self.lengths if length >= size], axis=0)

    @cached_property
    def _ahead(self) -> Array:
        return self.language.ahead(self.lengths[-1])


@dataclass(frozen=True, eq=False)
class Beam:
    """Rows of the network, what stands in the holes of each so far, and ln p of all that was added to the beginning.

    `runs` counts the rows that went through the network.
    """

    rows: Continuations
    fills: list[tuple[Tokens, ...]]
    weight: Float[Tensor, " R"]
    runs: int = 0

    def __len__(self) -> int:
        return len(self.fills)

    def __getitem__(self, rows: Int[Tensor, " r"]) -> "Beam":
        fills = [self.fills[row] for row in rows.tolist()]
        return replace(self, rows=self.rows[rows], fills=fills, weight=self.weight[rows])

    @classmethod
    def begin(cls, rows: Continuations) -> "Beam":
        """A beginning of one row, with nothing after it."""
        return cls(rows, [()], torch.zeros(1, dtype=torch.float64, device=rows.ids.device))

    def along(self, tokens: Sequence[int], last: bool) -> "Beam":
        """With fixed tokens after every row; after the `last` of them nothing is read."""
        if not tokens:
            return self
        runs = self.runs + len(self)
        if last:
            return replace(self, weight=self.weight + self.rows.scores([tokens] * len(self)), runs=runs)
        rows, nats = self.rows.along([tokens] * len(self))
        return replace(self, rows=rows, weight=self.weight + nats, runs=runs)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Fillings of all holes, the tokens of each, with ln p of them and of what follows; in no order.

    `covered` has a share for each length of the last hole.
    """

    fills: list[tuple[Tokens, ...]]
    weight: Float[Tensor, " K"]
    covered: dict[int, float]
    runs: int


@torch.no_grad()
def rank(rows: Continuations, slots: Sequence[Slot], after: Sequence[Sequence[int]]) -> Evaluated[Ranking]:
    """The fillings of some holes, `after[i]` following hole i, from one row that ends where the first hole begins."""
    beam = Beam.begin(rows)
    covered: dict[int, float] = {}
    for number, (slot, tokens) in enumerate(zip(slots, after, strict=True)):
        beam, left, covered = yield from _through(beam, slot)
        beam, kept = yield from _chosen(beam, slot, tokens)
        sizes = [len(fills[-1]) for fills in beam.fills]
        for size, share in _shares(left, kept, sizes).items():
            covered[size] *= share
        if tokens:
            yield Evaluate(len(beam) * len(tokens))
        beam = beam.along(tokens, last=number == len(slots) - 1)
    return Ranking(beam.fills, beam.weight, covered, beam.runs)


def _through(beam: Beam, slot: Slot) -> Evaluated[tuple[Beam, dict[int, Float[Tensor, " r"]], dict[int, float]]]:
    """The fillings of a hole after each row, their weights by length, and what they cover by length."""
    device, language = beam.weight.device, slot.language
    follow, of_token = (torch.as_tensor(table, device=device) for table in (language.next, language.of_token))
    state = torch.zeros(len(beam), dtype=torch.long, device=device)
    beam = replace(beam, fills=[(*fills, ()) for fills in beam.fills])
    done: list[Beam] = []
    left: dict[int, Tensor] = {}
    covered: dict[int, float] = {}
    share = 1.0
    for size in range(1, slot.lengths[-1] + 1):
        yield Evaluate(len(beam))
        rows, log_p = beam.rows.following()
        after = follow[state]
        useful = torch.as_tensor(slot.open(size), device=device)
        allowed = ((after >= 0) & useful[after.clamp(min=0)])[:, of_token]
        total = (beam.weight[:, None] + log_p.double()).masked_fill(~allowed, -torch.inf).flatten()
        best = total.topk(min(slot.count, int((total > -torch.inf).sum())))
        share *= min((best.values.logsumexp(0) - total.logsumexp(0)).exp().item(), 1.0)
        row, token = best.indices // log_p.shape[1], best.indices % log_p.shape[1]
        state = after[row, of_token[token]]
        fills = [
            (*beam.fills[r][:-1], (*beam.fills[r][-1], t)) for r, t in zip(row.tolist(), token.tolist(), strict=True)
        ]
        beam = Beam(rows[row].put(token), fills, best.values, beam.runs + len(beam))
        ends = torch.as_tensor(language.final, device=device)[state].nonzero()[:, 0]
        if size in slot.lengths and len(ends):
            done.append(beam[ends])
            left[size], covered[size] = best.values[ends], share
        if size == slot.lengths[-1]:
            break
        further = torch.as_tensor(slot.open(size + 1), device=device)
        on = (further[follow.clamp(min=0)] & (follow >= 0)).any(-1)[state].nonzero()[:, 0]
        if not len(on):
            break
        beam, state = beam[on], state[on]
    fills = [fill for some in done for fill in some.fills]
    rows = joined([some.rows for some in done])
    return Beam(rows, fills, torch.cat([some.weight for some in done]), beam.runs), left, covered


def _chosen(beam: Beam, slot: Slot, after: Sequence[int]) -> Evaluated[tuple[Beam, Float[Tensor, " r"]]]:
    """The fillings that are read to the end of what follows, with their weights before it."""
    if len(beam) <= slot.count:
        return beam, beam.weight
    yield Evaluate(len(beam) * READ)
    near = beam.along(after[:READ], last=True)
    best = near.weight.topk(slot.count).indices.sort().values
    return replace(beam[best], runs=near.runs), beam.weight[best]


def _shares(left: dict[int, Float[Tensor, " r"]], kept: Float[Tensor, " r"], sizes: Sequence[int]) -> dict[int, float]:
    """Of the fillings of each length the share, by weight, that was kept."""
    found = {}
    for size, before in left.items():
        some = kept[[number for number, each in enumerate(sizes) if each == size]]
        found[size] = min((some.logsumexp(0) - before.logsumexp(0)).exp().item(), 1.0) if len(some) else 0.0
    return found
