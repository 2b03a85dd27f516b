"""Block diffusion: −ln p(x) = Σ_b −ln p(x^b | x^{<b}), with a diffusion bound on each term (BD3-LM, eq. 8).

The networks here obey the attention rule row by row: what a row of [z ; x] says is a function of the keys that the rule
shows it, and of nothing else. So the laws check the rule, its tags and the double pass along with the bound.
"""

from abc import abstractmethod
from dataclasses import dataclass
from itertools import permutations
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...models.base import Denoiser
from ...models.kept import Seen
from ...models.rules import block_diffusion
from ...models.traits import Input, Traits
from ...objective.bound import Bound
from ...objective.times.equal_count import EqualCount
from ...objective.times.estimator import Estimator
from ...predictor import Predictor
from ...randomness import Draws
from ...types import Rows
from ..catalog import golden
from ..expectation import total
from ..instruments import even
from ..law import Law
from ..noise import Noise
from ..scoring import exact_bound, one_text, texts_of, three, z_score
from ..surprise import surprise
from ..world import World
from .objectives import losses
from .times import time_draws

LENGTHS = (1, 2, 3)
"""Block lengths in a world of three positions: autoregressive, ragged, one block."""


@dataclass(frozen=True, eq=False)
class Sighted(Denoiser):
    """A network of one layer: every row answers from the keys that its rule lets it see."""

    world: World
    block_length: int

    takes: ClassVar[frozenset[Input]] = frozenset()

    @property
    def traits(self) -> Traits:
        return Traits(self.rows, self.world.length, block_diffusion, self.block_length, takes=self.takes)

    @property
    def rows(self) -> int:
        return self.world.vocabulary.rows

    def trunk(self, rows: Rows, kv: Seen | None = None) -> Float[Tensor, "B L D"]:
        sees = self.traits.rule(rows.tags, rows.tags)
        assert sees is not None
        position = rows.tags.position
        return self.answers(rows, sees & (position[:, :, None] != position[:, None, :]))

    def head(self, hidden: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead V"]:
        return hidden

    @abstractmethod
    def answers(self, rows: Rows, sees: Bool[Tensor, "B L L"]) -> Float[Tensor, "B L V"]:
        """Logits of every row; `sees` leaves out its own position."""


@dataclass(frozen=True, eq=False)
class Optimal(Sighted):
    """p(x_i | what is seen) by Bayes' rule over all texts."""

    noise: Noise

    takes = frozenset({"level"})

    def answers(self, rows: Rows, sees: Bool[Tensor, "B L L"]) -> Float[Tensor, "B L V"]:
        assert rows.level is not None
        t = self.noise.process.time_at(1 - rows.level)
        token = self.world.texts.T[rows.tags.position]  # (B, L, X): what each text has there
        evidence = self.noise.evidence(self.world.numbers(rows.state.ids), t).gather(-1, token)
        weight = self.world.law * torch.where(sees[..., None], evidence[:, None], 1.0).prod(2)
        found = torch.stack([(weight * (token == v)).sum(-1) for v in range(self.world.tokens)], dim=-1)
        all_ = found.sum(-1, keepdim=True)
        logits = torch.full((*found.shape[:2], self.rows), 3.0, dtype=torch.float64)
        logits[..., self.world.rows[:-1]] = torch.where(all_ > 0, found / all_, 1.0 / self.world.tokens).log()
        return logits


@dataclass(frozen=True, eq=False)
class Arbitrary(Sighted):
    """Noise instead of logits, keyed by what is seen and where."""

    def answers(self, rows: Rows, sees: Bool[Tensor, "B L L"]) -> Float[Tensor, "B L V"]:
        digit = (self.world.tokens + 2) ** rows.tags.position * (1 + self.world.numbers(rows.state.ids))
        seen = torch.where(sees, digit[:, None], 0).sum(-1)
        return 2.0 * torch.special.ndtri(Draws.seeded(5).at(seen, rows.tags.position).along(self.rows).uniform())


def optimal() -> dict[str, Predictor]:
    return {
        f"blocks of {length}, {name}": Predictor(Optimal(three(), length, Noise(process)), process, "leave_one_out")
        for length in LENGTHS
        for name, process in golden(three()).items()
    }


def arbitrary() -> dict[str, Predictor]:
    process = golden(three())["mask"]
    return {
        f"blocks of {length}": Predictor(Arbitrary(three(), length), process, "leave_one_out") for length in LENGTHS
    }


def tightness_error(predictor: Predictor) -> float:
    """Under the optimal network the sum of the blocks' bounds is the entropy of the text."""
    return abs(total(predictor, three(), nodes=100) - three().entropy)


def chain_error(predictor: Predictor) -> float:
    """Without time input the bound is the chain rule, blocks in order, the tokens of each in all orders.

    With blocks of one token that is the autoregressive likelihood.
    """
    span = predictor.traits.block_length
    assert span is not None
    worst = 0.0
    for text in three().texts:
        expected = 0.0
        for first in range(0, three().length, span):
            places = range(first, min(first + span, three().length))
            orders = list(permutations(places))
            expected += sum(_chain(predictor, text, order) for order in orders) / len(orders)
        worst = max(worst, abs(one_text(predictor, tuple(text.tolist()), (True,) * three().length, 0.0) - expected))
    return worst


def _chain(predictor: Predictor, text: Int[Tensor, " L"], order: tuple[int, ...]) -> float:
    """−ln p of the tokens of a block, one after the other, each from the text before the block and those before it."""
    world, nats = three(), 0.0
    known = list(range(min(order)))
    for place in order:
        seen = sum((world.tokens + 2) ** i * (1 + int(text[i])) for i in known)
        hidden = sum((world.tokens + 2) ** i * (1 + world.tokens) for i in order if i not in known and i != place)
        draws = Draws.seeded(5).at(seen + hidden, place).along(world.vocabulary.rows)
        logits = (2.0 * torch.special.ndtri(draws.uniform()))[world.rows[:-1]]
        nats -= logits.log_softmax(-1)[text[place]].item()
        known.append(place)
    return nats


@dataclass(frozen=True)
class Case:
    """A network with blocks and a way of drawing their levels."""

    predictor: Predictor
    times: Estimator


def estimators() -> dict[str, Case]:
    return {
        f"{name} per {per}, {blocks}": Case(predictor, type(times)(per=per))
        for blocks, predictor in arbitrary().items()
        for name, times in time_draws().items()
        for per in ("block", "row")
    }


def unbiased_error(case: Case) -> float:
    """A level per block and one shared by the blocks of a row estimate the same number, in standard errors.

    Counts within blocks of one token leave nothing to chance: there the estimate is the number.
    """
    found, exact = losses(Bound(case.times).loss, case.predictor), exact_bound(case.predictor, texts_of(three()))
    if case.predictor.traits.block_length == 1 and isinstance(case.times, EqualCount) and case.times.per == "block":
        return (found - exact).abs().max().item() / (1e-9 * exact)
    return z_score(found, exact)


def level_error(times: Estimator) -> float:
    """The level of every block of every row is uniform over all batches."""
    cells = times.cells(texts_of(three(), 8), 8, 2)
    levels = torch.stack([times.quantiles(cells, Draws.seeded(1).at(n)).flatten() for n in range(500)])
    return max(surprise((found * 8).long(), even(8)) for found in levels.T)


LAWS = (
    Law("block/tight", optimal, tightness_error, 5e-8),
    Law("block/chain-rule", arbitrary, chain_error, 1e-9),
    Law("block/unbiased", estimators, unbiased_error, 4.5),
    Law("block/levels", time_draws, level_error, 6.0),
)
