"""Languages small enough to write down: every text and its probability."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class World:
    """`tokens` K, `length` L, and P(text) for all X = K^L texts in lexicographic order.

    The enumeration numbers tokens 0 … K − 1 and the mask K; `rows` are their ids in the network's table, where the
    mask, a padding row and two reserved rows lie among the tokens on purpose.
    """

    tokens: int
    length: int
    law: Float[Tensor, " X"]

    @cached_property
    def texts(self) -> Int[Tensor, "X L"]:
        return sequences(self.tokens, self.length)

    @cached_property
    def entropy(self) -> float:
        """H = −Σ P ln P in nats: the mean of −ln p(x)."""
        return -sum(p * math.log(p) for p in self.law.tolist() if p > 0)

    @cached_property
    def rows(self) -> Int[Tensor, " N"]:
        """Table ids of tokens 0 … K − 1, then of the mask."""
        return torch.tensor([1, 3, *range(6, 4 + self.tokens), 2])

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(rows=self.tokens + 5, mask=2, pad=4, reserved=frozenset({0, 5, self.tokens + 4}))

    def numbers(self, ids: Int[Tensor, "*lead"]) -> Int[Tensor, "*lead"]:
        """The enumeration's numbers of table ids."""
        inverse = torch.full((self.vocabulary.rows,), -1)
        inverse[self.rows] = torch.arange(self.tokens + 1)
        return inverse[ids]

    def states(self, count: int) -> Int[Tensor, "Z L"]:
        """All sequences over `count` state numbers: K without a mask, K + 1 with one."""
        return sequences(count, self.length)


def sequences(count: int, length: int) -> Int[Tensor, "Z L"]:
    """All count^length sequences in lexicographic order."""
    return torch.cartesian_prod(*[torch.arange(count)] * length).reshape(-1, length)


def world(tokens: int, length: int, weights: Sequence[float]) -> World:
    """A world from unnormalized weights of its texts."""
    law = torch.tensor(weights, dtype=torch.float64)
    return World(tokens, length, law / law.sum())


def toy_a() -> World:
    """Two tokens, two positions, P(00, 01, 10, 11) = (.4, .1, .2, .3), H = 1.2798542 nats: the world of the goldens."""
    return world(2, 2, [0.4, 0.1, 0.2, 0.3])


def twins() -> World:
    """P(00) = P(11) = ½: nothing but correlation, H = ln 2."""
    return world(2, 2, [1, 0, 0, 1])


def small_worlds() -> dict[str, World]:
    """Correlated laws without symmetry, with an impossible text each."""
    return {
        "K=3 L=2": world(3, 2, [7, 1, 3, 2, 11, 0, 5, 4, 9]),
        "K=2 L=3": world(2, 3, [9, 2, 1, 5, 0, 8, 4, 3]),
    }
