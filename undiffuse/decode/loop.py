"""The only decoding loop. Command line, evaluations and servers take its steps and consume its events.

The loop alone enforces windows and editable positions, applies decisions, writes memory and makes events; a strategy
only decides. `step` takes one step of every request of a batch, each of which is at its own; `denoise` repeats it.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from ..errors import UserError
from ..predictor import Predictor
from .advance import advanced, completed, told_nothing
from .batch import Batch, Group, Lane, Seat, Seats, alike, constraint_of, seated
from .between import asked
from .canvas import GIVEN, Canvas
from .decoder import Decoder
from .event import Event
from .request import Request
from .strategies.strategy import Strategy

Result = TypeVar("Result")


def denoise(predictor: Predictor, canvas: Canvas, how: Decoder | Strategy) -> Generator[Event, None, Canvas]:
    """Denoise until nothing is pending: yields the noise at the start and one event per step, returns the canvas."""
    last = canvas
    for last, happened in walk(predictor, canvas, how):  # noqa: B007 (the last one is returned)
        yield happened
    return last


def walk(predictor: Predictor, canvas: Canvas, how: Decoder | Strategy) -> Iterator[tuple[Canvas, Event]]:
    """The canvases of a denoising with their events, the noise at the start first. Finished requests cost nothing."""
    decoder = how if isinstance(how, Decoder) else Decoder(how)
    began = decoder.limits.clock()
    decoder.check(predictor, canvas)
    decoder = replace(decoder, cache=decoder.cache.settle(predictor, canvas))
    seats = [Seat(each, None, began) for each in decoder.each(len(canvas.ids))]
    yield from follow(predictor, _begun(predictor, canvas, Seats(tuple(seats))))


def follow(predictor: Predictor, batch: Batch) -> Iterator[tuple[Canvas, Event]]:
    """The canvases of a batch with their events, as it is first, until all its requests have ended."""
    everyone = batch.canvas
    nothing = torch.zeros_like(everyone.pending)
    yield everyone, Event.of(everyone, nothing, nothing)
    rows = torch.arange(len(batch))
    while left := batch.running():
        if len(left) < len(batch):
            batch, rows = batch.select(left), rows[left]
        batch, happened = step(predictor, batch)
        if len(rows) == len(everyone.ids):
            everyone = batch.canvas
        else:
            index = rows.to(nothing.device)
            everyone = everyone.put(index, batch.canvas)
            changes = (nothing.index_copy(0, index, change) for change in (happened.committed, happened.revised))
            happened = Event.of(everyone, *changes)
        yield everyone, happened


def begin(predictor: Predictor, requests: Sequence[Request]) -> Batch:
    """Check everything, draw the noise that pending positions start from, and set up memory. They join other batches.

    UserError for what cannot work together, before any forward pass.
    """
    if not requests:
        raise UserError("a batch needs a request at least")
    seats = []
    for request in requests:
        began = request.how.limits.clock()
        request.how.check(predictor, request.canvas)
        cache = request.how.cache.settle(predictor, request.canvas)
        seats.append(Seat(replace(request.how, cache=cache), request.between, began))
    return _begun(predictor, Canvas.concatenate([request.canvas for request in requests]), Seats(tuple(seats)))


def _begun(predictor: Predictor, canvas: Canvas, seats: Seats) -> Batch:
    process = predictor.process
    groups = [
        Group(rows, how, constraint_of(seats, rows), {})
        for rows, how in alike(seats, lambda a, b: (a.strategy, a.guidance, a.kind) == (b.strategy, b.guidance, b.kind))
    ]
    lanes = [
        Lane(rows, how.cache, how.strategy.shadows)
        for rows, how in alike(seats, lambda a, b: (a.cache, a.strategy.shadows) == (b.cache, b.strategy.shadows))
    ]
    batch = seated(canvas, seats, groups, lanes, torch.zeros_like(canvas.step))
    noise = batch.spread([group.how.strategy.noise(process, batch.of(group)) for group in groups])
    blank = (canvas.begins == 1)[:, None]
    canvas = canvas.replace(ids=torch.where(canvas.pending & blank, noise, canvas.ids))
    if not process.shows_tokens:  # what is seen of a noisy text is certain
        seen = canvas.pending & ~blank & (canvas.ids != process.mask)
        given = canvas.commit_step.masked_fill(seen, GIVEN)
        canvas = canvas.replace(pending=canvas.pending & ~seen, commit_step=given)
    batch = batch.replace(canvas)
    remembered = tuple(
        replace(group, memory=group.how.strategy.begin(process, part) | told_nothing(predictor, part))
        for group, part in ((group, batch.of(group)) for group in batch.groups)
    )
    kept = tuple(
        replace(lane, kept=lane.cache.memory(predictor, canvas, len(batch.passes(lane.rows)), lane.shadows))
        for lane in batch.lanes
    )
    most_steps = batch.spread([group.how.strategy.most_steps(batch.of(group)) for group in groups])
    return replace(batch, groups=remembered, lanes=kept, most_steps=most_steps)


def finished(steps: Generator[Event, None, Result], on_event: Callable[[Event], None] | None = None) -> Result:
    """Run a denoising to its end for what it returns, reporting its events."""
    while True:
        try:
            happened = next(steps)
        except StopIteration as stop:
            return stop.value
        if on_event:
            on_event(happened)


@torch.no_grad()
def step(predictor: Predictor, batch: Batch) -> tuple[Batch, Event]:
    """One step of every request that has not ended; each may be at another step of another window.

    Requests whose limits allow one more evaluation are completed by it; a network that sees one side alone cannot, and
    they end as they are after it.
    """
    before = batch.canvas
    batch, late = _timed(batch)
    late, cut = ([], late) if predictor.traits.one_sided else (late, [])
    committed = revised = torch.zeros_like(before.pending)
    if late:
        batch, committed = completed(predictor, batch, late)
    if len(late) < len(batch):
        batch, more, revised = advanced(predictor, batch)
        committed = committed | more if late else more
        batch = batch.abort(cut) if cut else batch
    if batch.seats.asked:
        batch, taken_back = asked(predictor, before, batch)
        committed, revised = committed & ~taken_back, revised | taken_back & ~before.pending
    return batch, Event.of(batch.canvas, committed, revised)


def _timed(batch: Batch) -> tuple[Batch, list[int]]:
    """The batch whose step begins now, and the requests whose next evaluation must be their last."""
    limited = batch.seats.limited
    if not limited:
        return batch, []
    canvas, stepped, late = batch.canvas, list(batch.stepped), []
    spent, done = torch.stack((canvas.nfe, canvas.done.long())).tolist()
    for row in limited:
        seat, limits = batch.seats.each[row], batch.seats.each[row].how.limits
        exhausted = limits.max_nfe is not None and spent[row] >= limits.max_nfe - 1
        if limits.deadline_ms is not None:
            now = limits.clock()
            pace = now - stepped[row]
            stepped[row] = now
            exhausted |= 1000 * (now - seat.began + 2 * pace) > limits.deadline_ms
        if exhausted and not done[row]:
            late.append(row)
    return replace(batch, stepped=tuple(stepped)), late
