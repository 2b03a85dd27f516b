"""The only decoding loop. Command line, evaluations and servers consume its events.

The loop alone enforces windows and editable positions, applies decisions, writes memory and makes events; a strategy
only decides.
"""

from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..predictor import Predictor
from .canvas import UNDECIDED, Canvas
from .constraint import Constraint
from .event import Event
from .look import Sites, look
from .strategies.strategy import Decision, Look, Step, Strategy

Result = TypeVar("Result")


def denoise(
    predictor: Predictor, canvas: Canvas, strategy: Strategy, constraint: Constraint | None = None
) -> Generator[Event, None, Canvas]:
    """Denoise until nothing is pending: yields the noise at the start and one event per step, returns the canvas."""
    last = canvas
    for last, happened in walk(predictor, canvas, strategy, constraint):  # noqa: B007 (the last one is returned)
        yield happened
    return last


def walk(
    predictor: Predictor, canvas: Canvas, strategy: Strategy, constraint: Constraint | None = None
) -> Iterator[tuple[Canvas, Event]]:
    """The canvases of a denoising with their events, the noise at the start first."""
    strategy.check(predictor.process)
    noise = strategy.noise(predictor.process, canvas)
    canvas = canvas.replace(ids=torch.where(canvas.pending, noise, canvas.ids))
    memory = strategy.begin(canvas)
    limit = int((canvas.steps.sum(-1) + canvas.pending.sum(-1)).max())
    nothing = torch.zeros_like(canvas.pending)
    yield canvas, event(canvas, nothing, nothing)
    while not bool(canvas.done.all()):
        if limit == 0:
            raise RuntimeError(f"{type(strategy).__name__} left positions pending beyond its bound on steps")
        canvas, happened, memory = denoise_step(predictor, canvas, strategy, memory, constraint)
        limit -= 1
        yield canvas, happened


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
def denoise_step(
    predictor: Predictor, canvas: Canvas, strategy: Strategy, memory: Any, constraint: Constraint | None = None
) -> tuple[Canvas, Event, Any]:
    """One step of every request that is not done; requests may be at different steps of different windows."""
    process = predictor.process
    step = strategy.step(process, canvas)
    wanted = strategy.reads(process, canvas, step)
    sites = Sites.of(wanted)
    write, revised = torch.zeros_like(canvas.pending), torch.zeros_like(canvas.pending)
    after = canvas
    if sites.index.shape[1]:
        prediction = look(predictor, canvas, sites, times(canvas, step))
        seen = Look(
            canvas,
            sites,
            prediction=prediction,
            ids=sites.gather(canvas.ids),
            draws=canvas.draws.gather(sites.index),
            allowed=constraint.allowed(canvas, sites) if constraint else None,
        )
        decision = strategy.advance(process, seen, step, memory)
        memory = decision.memory
        if constraint:
            decision = _hold_back(constraint, seen, decision)
        after, write, revised = apply(canvas, sites, decision, strategy.revocable)
    after = _tick(canvas, after, wanted)
    return after, event(after, write, revised), memory


def apply(canvas: Canvas, sites: Sites, decision: Decision, revocable: bool) -> tuple[Canvas, Tensor, Tensor]:
    """The canvas with a decision carried out, what it committed and what it revised (R, L)."""
    was_pending = sites.gather(canvas.pending)
    writable = sites.live & sites.gather(canvas.window) & (was_pending | revocable)
    old = sites.gather(canvas.ids)
    new = torch.where(decision.write & writable, decision.ids, old)
    pending = torch.where(writable, decision.pending, was_pending)
    committed = writable & decision.write & ~pending & (was_pending | (new != old))
    revised = writable & ~was_pending & (pending | (new != old))
    blank = torch.zeros_like(canvas.pending)
    commit_step = sites.gather(canvas.commit_step).where(~pending, UNDECIDED)
    after = canvas.replace(
        ids=sites.scatter(new, canvas.ids),
        pending=sites.scatter(pending, canvas.pending),
        commit_step=sites.scatter(torch.where(committed, canvas.step[:, None], commit_step), canvas.commit_step),
        commit_logp=sites.scatter(
            torch.where(committed, decision.logp.float(), sites.gather(canvas.commit_logp)), canvas.commit_logp
        ),
    )
    return after, sites.scatter(committed, blank), sites.scatter(revised, blank)


def times(canvas: Canvas, step: Step) -> Float[Tensor, "R L"]:
    """Noise level of every position: the step's in the window, 1 in later windows, 0 where the token is decided."""
    later = torch.ones((), dtype=torch.float64, device=step.t.device)
    return torch.where(canvas.pending, torch.where(canvas.window, step.t[:, None], later), 0.0)


def event(canvas: Canvas, committed: Tensor, revised: Tensor) -> Event:
    return Event(
        step=int(canvas.step.max()),
        ids=canvas.ids,
        pending=canvas.pending,
        committed=committed,
        revised=revised,
        editable=canvas.editable,
        valid=canvas.valid,
        nfe=canvas.nfe,
        done=canvas.done,
    )


def _hold_back(constraint: Constraint, seen: Look, decision: Decision) -> Decision:
    """Keep pending what a constraint does not let be committed together with the rest."""
    chosen = decision.write & ~decision.pending & seen.open
    kept = constraint.together(seen.canvas, seen.sites, chosen, decision.ids)
    held = chosen & ~kept
    return decision.replace(
        write=decision.write & ~held, pending=decision.pending | held, ids=torch.where(held, seen.ids, decision.ids)
    )


def _tick(before: Canvas, after: Canvas, wanted: Tensor) -> Canvas:
    """Advance the clocks of requests that were not done; a finished window starts the next one's clock."""
    running = ~before.done
    same = before.current == after.current
    return after.replace(
        clock=torch.where(running & same, before.clock + 1, 0),
        step=before.step + running,
        nfe=before.nfe + wanted.any(-1),
    )
