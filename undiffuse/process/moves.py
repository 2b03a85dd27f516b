"""Where a token may go in one move of a matrix process: B over the states, one object for each of the named ways."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..vocabulary import Vocabulary
from .powers import Exponentials, Spectrum, powers_of
from .schedules.schedule import Schedule


class Moves(ABC):
    """The states are the real tokens in the order of their ids, and the mask last where it is `masked`."""

    def check(self, vocabulary: Vocabulary, schedule: Schedule) -> None:  # noqa: B027 (most go with everything)
        """ValueError where they do not go with a vocabulary or a schedule."""

    def masked(self, tokens: int) -> bool:
        """Whether the mask is a state, of a vocabulary with so many tokens."""
        return False

    @abstractmethod
    def matrix(self, tokens: int) -> Float[Tensor, "N N"]:
        """B; float64, its rows sum to 1."""

    def powers(self, move: Float[Tensor, "N N"]) -> Spectrum | Exponentials:
        """Q(ρ) of B for every ρ."""
        return powers_of(move)


@dataclass(frozen=True)
class Near(Moves):
    """To tokens that are near in the order of ids; where a move would leave the vocabulary the token stays."""

    width: int

    @abstractmethod
    def weight(self, distance: Float[Tensor, "*d"]) -> Float[Tensor, "*d"]:
        """How likely a distance is, up to a factor."""

    def matrix(self, tokens: int) -> Float[Tensor, "N N"]:
        place = torch.arange(tokens, dtype=torch.float64)
        distances = torch.arange(-tokens, tokens + 1, dtype=torch.float64)
        moved = self.weight((place - place[:, None]).abs()) / self.weight(distances.abs()).sum()
        return moved + torch.diag(1 - moved.sum(-1))


class Band(Near):
    """At most `width` away, all alike."""

    def weight(self, distance: Float[Tensor, "*d"]) -> Float[Tensor, "*d"]:
        return (distance <= self.width).double()


class Gaussian(Near):
    """Falling off with a standard deviation of `width`."""

    def weight(self, distance: Float[Tensor, "*d"]) -> Float[Tensor, "*d"]:
        return (-((distance / self.width) ** 2) / 2).exp()


class Uniform(Moves):
    """To every token alike."""

    def matrix(self, tokens: int) -> Float[Tensor, "N N"]:
        return torch.full((tokens, tokens), 1 / tokens, dtype=torch.float64)


class ToMask(Moves):
    """To the mask, from which nothing comes back."""

    def check(self, vocabulary: Vocabulary, schedule: Schedule) -> None:
        if vocabulary.mask is None:
            raise ValueError("moves 'mask' need a mask, and the vocabulary has none; use 'uniform'")
        if schedule.ends[1] > 0:
            raise ValueError("moves 'mask' need α(1) = 0, or the prior term is infinite: choose another schedule")

    def masked(self, tokens: int) -> bool:
        return True

    def matrix(self, tokens: int) -> Float[Tensor, "N N"]:
        return torch.zeros(tokens + 1, tokens + 1, dtype=torch.float64).index_fill(1, torch.tensor([tokens]), 1.0)

    def powers(self, move: Float[Tensor, "N N"]) -> Spectrum:
        count = len(move)
        vectors, inverse = (torch.eye(count, dtype=torch.float64) for _ in range(2))
        vectors[:-1, -1], inverse[:-1, -1] = 1.0, -1.0
        return Spectrum(vectors, inverse, torch.ones(count, dtype=torch.float64).index_fill(0, torch.tensor(-1), 0.0))


@dataclass(frozen=True)
class Given(Moves):
    """By a matrix that somebody wrote down: a row per token to come from, a column per token to go to."""

    rows: Sequence[Sequence[float]]

    def check(self, vocabulary: Vocabulary, schedule: Schedule) -> None:
        """ValueError unless it is a transition matrix of the vocabulary."""
        tokens, mask, rows = vocabulary.size, vocabulary.mask is not None, self.rows
        sizes = {tokens, tokens + mask}
        ragged = next((n for n, row in enumerate(rows) if len(row) != len(rows)), None)
        if len(rows) not in sizes or ragged is not None:
            what = f"{len(rows)} rows" + ("" if ragged is None else f" and {len(rows[ragged])} numbers in row {ragged}")
            end = " (the last ends a text)" if vocabulary.eos == vocabulary.predictable[-1] else ""
            also = f", or {tokens + 1} × {tokens + 1} with the mask last" if mask else ""
            raise ValueError(
                f"matrix has {what}, and this vocabulary {tokens} tokens{end}: give {tokens} × {tokens} numbers{also}, "
                "rows and columns in the order of ids"
            )
        for n, row in enumerate(rows):
            if not all(0 <= value < math.inf for value in row):
                bad = next(value for value in row if not 0 <= value < math.inf)
                raise ValueError(f"matrix holds {bad} in row {n}, and probabilities are not negative")
            if not abs(math.fsum(row) - 1) <= 1e-6:
                raise ValueError(f"row {n} of matrix sums to {math.fsum(row):.9g}: probabilities sum to 1")

    def masked(self, tokens: int) -> bool:
        return len(self.rows) > tokens

    def matrix(self, tokens: int) -> Float[Tensor, "N N"]:
        given = torch.tensor(self.rows, dtype=torch.float64)
        total = given.sum(-1, keepdim=True)
        return torch.where((total - 1).abs() > 1e-12, given / total, given)


def numbers(matrix: Sequence[str] | Sequence[Sequence[float]]) -> list[list[float]]:
    """Rows as numbers, from either form."""
    try:
        return [[float(value) for value in (row.split(",") if isinstance(row, str) else row)] for row in matrix]
    except (TypeError, ValueError) as error:
        raise ValueError(f"matrix is not a list of rows of numbers: {error}") from error


def written(rows: Sequence[Sequence[float]]) -> tuple[str, ...]:
    """Rows as text, from which the same numbers come back: short where most are 0, a line each in a manifest."""
    return tuple(",".join(repr(float(value)) if value else "0" for value in row) for row in rows)
