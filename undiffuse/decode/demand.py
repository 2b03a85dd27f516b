"""Verbs as coroutines: what they want denoised they ask for, and whoever runs them decides beside what it is done.

A verb is a generator. It yields `Denoise`, requests of its own, and is sent their canvas as it begins; it yields `MORE`
and is sent the canvas after the next step, or None once all of them have ended. `run` serves one verb with a batch of
its own; a server takes the steps of many verbs in one batch. What a verb is sent does not depend on which of the two.
Passes of its own, outside the loop, it announces (`evaluation.py`), and is resumed with nothing.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ..predictor import Predictor
from .canvas import Canvas
from .decoder import Decoder
from .evaluation import Evaluate, Evaluated
from .event import Event
from .loop import begin, follow, walk
from .request import Request

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Denoise:
    """Requests that begin now, what predicts for them, and whose canvases are wanted as one."""

    predictor: Predictor
    requests: Sequence[Request]


@dataclass(frozen=True)
class More:
    """Another step of the requests that were asked for last."""


MORE = More()
Demand = Denoise | More | Evaluate
Verb = Generator[Demand, Canvas | None, Result]


def denoised(
    predictor: Predictor, requests: Sequence[Request], seen: Callable[[Canvas], None] | None = None
) -> Verb[Canvas]:
    """The canvas of some requests when all of them have ended; `seen` is told of every one on the way, also the first
    and the last. For use within verbs: `done = yield from denoised(predictor, requests)`."""
    last = yield Denoise(predictor, requests)
    assert last is not None, "what begins has a canvas"
    while True:
        if seen is not None:
            seen(last)
        after = yield MORE
        if after is None:
            return last
        last = after


def walked(predictor: Predictor, canvas: Canvas, how: Decoder) -> Evaluated[list[Canvas]]:
    """The canvases of a denoising that is nobody's answer, as it begins and after every step (`loop.walk`)."""
    trail = []
    for after, _ in walk(predictor, canvas, how):
        trail.append(after)
        if not bool(after.done.all()):
            yield Evaluate.of(after.ids[~after.done])
    return trail


def requests_of(predictor: Predictor, canvas: Canvas, how: Decoder) -> list[Request]:
    """Every row of a canvas as a request, with its part of the constraint; their cache is settled for all of them."""
    how = replace(how, cache=how.cache.settle(predictor, canvas))
    rows = [slice(row, row + 1) for row in range(len(canvas.ids))]
    return [Request(canvas.select(row), each) for row, each in zip(rows, how.each(len(rows)), strict=True)]


def run(verb: Verb[Result]) -> Generator[Event, None, Result]:
    """A verb by itself: yields the events of its denoising as they happen, returns its result."""
    course: Iterator[tuple[Canvas, Event]] = iter(())
    reply: Canvas | None = None
    while True:
        try:
            demand = verb.send(reply)
        except StopIteration as stop:
            return stop.value
        if isinstance(demand, Evaluate):
            reply = None
            continue
        if isinstance(demand, Denoise):
            course = follow(demand.predictor, begin(demand.predictor, demand.requests))
        happened = next(course, None)
        reply = None if happened is None else happened[0]
        if happened is not None:
            yield happened[1]
