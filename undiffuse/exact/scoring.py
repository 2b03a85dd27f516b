"""What estimators are compared with: a batch of texts, networks, and the exact bound of the texts."""

import math
from functools import cache

import torch
from torch import Tensor

from ..predictor import Predictor
from ..types import Batch
from .catalog import golden, masked
from .denoiser import ArbitraryDenoiser, bayes_predictor
from .expectation import diffusion, integral
from .world import World, small_worlds

ROWS = 128


def three() -> World:
    return small_worlds()["K=2 L=3"]


@cache
def predictors() -> dict[str, Predictor]:
    """A time-free masked network that is wrong, and exact ones for every kind of noise."""
    world = three()
    arbitrary = {
        f"arbitrary network, {name}": Predictor(ArbitraryDenoiser(world, seed=5), process, "leave_one_out")
        for name, process in masked(world).items()
        if name in ("mask, one-minus-t", "mask, polynomial", "mask, cos")
    }
    exact = {f"exact network, {name}": bayes_predictor(world, process) for name, process in golden(world).items()}
    return arbitrary | exact


def texts_of(world: World, rows: int = ROWS) -> Batch:
    """A batch of the possible texts in a fixed, uneven order; in one row of four the first token is given."""
    possible = (world.law > 0).nonzero()[:, 0]
    x = possible[torch.arange(rows) * 5 % len(possible)]
    ids = world.rows[world.texts[x]]
    editable = torch.ones_like(ids, dtype=torch.bool)
    editable[::4, 0] = False
    row = torch.arange(rows)
    return Batch(
        ids=ids,
        editable=editable,
        valid=torch.ones_like(editable),
        positions=torch.arange(world.length).expand_as(ids),
        index=row,
        epoch=torch.zeros_like(row),
        slot=row,
    )


def exact_bound(predictor: Predictor, batch: Batch, low: float = 0.0) -> float:
    """∫ E Σ ℓ_t dt over [low, 1] of the batch's rows, by enumeration of their noise."""
    world, total = three(), 0.0
    for ids, editable in zip(batch.ids, batch.editable, strict=True):
        total += one_text(predictor, tuple(world.numbers(ids).tolist()), tuple(editable.tolist()), low)
    return total


def only(text: Tensor) -> World:
    """The world in which this is the one text: expectations over its noise alone."""
    world = three()
    return World(world.tokens, world.length, (world.texts == text).all(-1).double())


@cache
def one_text(predictor: Predictor, text: tuple[int, ...], editable: tuple[bool, ...], low: float) -> float:
    alone, free = only(torch.tensor(text)), torch.tensor(editable)
    return integral(lambda t: diffusion(predictor, alone, t, free), low, nodes=100)


def z_score(samples: Tensor, expected: float) -> float:
    """Standard errors between a mean and what it should be."""
    return ((samples.mean() - expected).abs() / (samples.std() / math.sqrt(len(samples)))).item()
