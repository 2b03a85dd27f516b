"""A job: one call of a verb on its way through the engine, and what is told to whoever waits for it."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

import torch

from ..decode.batch import Batch
from ..decode.canvas import Canvas
from ..decode.demand import Verb


@dataclass(frozen=True)
class Begun:
    """The job was admitted, and its verb accepted what was asked."""


@dataclass(frozen=True, eq=False)
class Stepped:
    """A step was taken: what the job's watcher made of the canvas."""

    told: Any


@dataclass(frozen=True, eq=False)
class Done:
    """The verb returned."""

    result: Any


@dataclass(frozen=True, eq=False)
class Failed:
    """The job ended with an error: of the caller (`UserError`), or of ours."""

    error: BaseException


@dataclass(frozen=True)
class Cancelled:
    """The job was taken back before it ended; `cause` says by whom."""

    cause: str


Message = Begun | Stepped | Done | Failed | Cancelled


@dataclass(eq=False)
class Work:
    """What a job had denoised, for its bill: evaluations, rows of the network, tokens that were decided.

    `shared` are rows that were not run, since another request had run them.
    """

    nfe: int = 0
    rows: int = 0
    committed: int = 0
    shared: int = 0


@dataclass(eq=False)
class Job:
    """One call. `make` builds its verb, given the seconds that it waited; `tell` takes messages and must not block.

    `watch` makes a message of every canvas, given its part of the verb; without one only the end is told. `weight` is
    an estimate of its work, the rows of the network that its steps need together, and `memory` of its bytes. While it
    `evaluates` its verb waits for a pass of its own (`decode/evaluation.py`), else for steps of a deck; `cost` are the
    rows of either. It is `fresh` before the first step of a part.
    """

    name: str
    make: Callable[[float], Verb[Any]]
    tell: Callable[[Message], None]
    watch: Callable[[Canvas, int], Any] | None = None
    weight: int = 1
    memory: int = 0
    arrived: float = field(default_factory=time.monotonic)
    verb: Generator[Any, Canvas | None, Any] | None = None
    canvas: Canvas | None = None
    parked: Batch | None = None
    going: list[int] = field(default_factory=list)
    part: int = -1
    cost: int = 0
    credit: float = 0.0
    evaluates: bool = False
    fresh: bool = False
    work: Work = field(default_factory=Work)

    def rows_of(self, canvas: Canvas, places: list[int]) -> Canvas:
        """Rows of a batch's canvas in the size of this job's own; views of it where they lie together."""
        assert self.canvas is not None
        length, windows = self.canvas.ids.shape[1], self.canvas.steps.shape[1]
        if places[-1] - places[0] + 1 == len(places):
            return canvas.select(slice(places[0], places[-1] + 1)).narrowed(length, windows)
        return canvas.select(torch.tensor(places, device=canvas.ids.device)).narrowed(length, windows)

    def take(self, canvas: Canvas, places: list[int], own: list[int]) -> None:
        """Rows of a batch's canvas as rows `own` of this job's; most often all of it, and nothing is copied."""
        assert self.canvas is not None
        mine = self.rows_of(canvas, places)
        if len(own) < len(self.canvas.ids):
            mine = self.canvas.put(torch.tensor(own, device=canvas.ids.device), mine)
        self.canvas = mine
