"""What the laws measure with: deviations, predictions on rows of a table, losses, and texts of the decoding loop."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..decode.canvas import Canvas, start
from ..decode.decoder import Decoder
from ..decode.loop import walk
from ..decode.strategies.strategy import Strategy
from ..objective.objective import Loss
from ..predictor import Predictor
from ..process.prediction import Prediction
from ..randomness import Draws
from ..types import Batch, State
from .scoring import texts_of
from .surprise import surprise
from .world import World

REQUESTS = 4000


def gap(found: Tensor, expected: Tensor | float = 0.0) -> float:
    """The largest deviation."""
    return (found - expected).abs().max().item()


def exponential(rates: Float[Tensor, "*t N N"]) -> Float[Tensor, "*t N N"]:
    """e^A of rates, whose rows sum to 0: Taylor's series of A/2^s, squared s times; every entry to a few u.

    (`torch.matrix_exp` is known to 3e-13 where A is near 0.) Rows are made to sum to 1, since each squaring doubles how
    far they are from it.
    """
    if rates.ndim > 2:  # each has its own s: what is squared more often than needed is known to fewer digits
        return torch.stack([exponential(each) for each in rates.flatten(0, -3)]).view_as(rates)
    largest = rates.abs().sum(-1).max().item()
    squarings = math.ceil(math.log2(2 * largest)) if largest > 0.5 else 0
    term = total = torch.eye(len(rates), dtype=rates.dtype)
    for n in range(1, 20):  # of numbers up to ½
        term = term @ rates / (n * 2.0**squarings)
        total = total + term
    for _ in range(squarings):
        total = total @ total
        total = total / total.sum(-1, keepdim=True)
    return total / total.sum(-1, keepdim=True)


def even(count: int) -> Float[Tensor, " n"]:
    """The same probability for each."""
    return torch.full((count,), 1 / count, dtype=torch.float64)


def shares(drawn: Int[Tensor, " n"], rows: Int[Tensor, " N"]) -> Float[Tensor, " N"]:
    """How often each row was drawn."""
    return torch.stack([(drawn == row).double().mean() for row in rows])


def log_rows(world: World, p: Float[Tensor, "*lead K"]) -> Float[Tensor, "*lead V"]:
    """ln p over the rows of the network's table."""
    logits = torch.full((*p.shape[:-1], world.vocabulary.rows), -torch.inf, dtype=torch.float64)
    logits[..., world.rows[:-1]] = p.log()
    return logits


def read(process: Any, logits: Tensor, state: State, t: Tensor, kind: Any = "leave_one_out") -> Prediction:
    """A head's output, with the evidence of what it was shown."""
    return Prediction(logits, kind, lambda: process.log_likelihood(state, t))


def round_trip_error(first: Prediction) -> float:
    """Of a leave-one-out head, turned into a posterior and back; nats."""
    back = Prediction(first.posterior(), "posterior", first.evidence)
    return gap(back.leave_one_out(), first.logits.double().log_softmax(-1))


def sums(
    loss: Callable[[Predictor, Batch, Draws, int], Loss], predictor: Predictor, batch: Batch, seed: int, count: int
) -> Float[Tensor, " n"]:
    """A batch's loss in each of `count` draws."""
    keys = Draws.seeded(seed)
    return torch.stack([loss(predictor, batch, keys.at(n), len(batch.ids)).sum.detach().double() for n in range(count)])


def distinct(world: World, batch: Batch) -> Iterator[tuple[int, World, Tensor]]:
    """The different rows of a batch: how many there are, the world in which it is the one text, what is editable."""
    rows = torch.cat((world.numbers(batch.ids), batch.editable.long()), dim=-1)
    for row, count in zip(*torch.unique(rows, dim=0, return_counts=True), strict=True):
        text, editable = row.chunk(2)
        yield int(count), World(world.tokens, world.length, (world.texts == text).all(-1).double()), editable.bool()


def whole_texts(world: World) -> tuple[Batch, World]:
    """A batch without given tokens, and the law of its texts."""
    batch = texts_of(world)
    batch = batch.rows(batch.editable.all(-1))
    batch = batch.at(slot=torch.arange(len(batch.ids)))
    count = torch.bincount(number(world, batch.ids), minlength=len(world.texts)).double()
    return batch, World(world.tokens, world.length, count / count.sum())


def canvas(
    world: World, requests: int = REQUESTS, *, text: Tensor | None = None, pending: Tensor | None = None, **plan: Any
) -> Canvas:
    """The same request many times, with different keys; nothing is given unless it is said."""
    pending = torch.ones(world.length, dtype=torch.bool) if pending is None else pending
    ids = torch.where(pending, world.rows[0], world.rows[world.texts[0] if text is None else text])
    one = start(ids, pending, key=0, **plan)
    keys = Draws.seeded(17).at(torch.arange(requests)).key
    return one.select(torch.zeros(requests, dtype=torch.long)).replace(key=keys)


def finish(predictor: Predictor, begin: Canvas, how: Strategy | Decoder) -> Canvas:
    """The last canvas of the loop under test."""
    return [after for after, _ in walk(predictor, begin, how)][-1]


def number(world: World, ids: Tensor) -> Int[Tensor, " R"]:
    """Which text each row is; a row with anything but tokens becomes one text too many."""
    numbers = world.numbers(ids)
    place = world.tokens ** torch.arange(world.length - 1, -1, -1)
    clean = ((numbers >= 0) & (numbers < world.tokens)).all(-1)
    return torch.where(clean, (numbers * place).sum(-1), len(world.texts))


def text_surprise(world: World, end: Canvas, law: Float[Tensor, " X"]) -> float:
    """How surprising the texts of canvases are under a law."""
    return surprise(number(world, end.ids), torch.nn.functional.pad(law, (0, 1)))
