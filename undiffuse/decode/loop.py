"""The only decoding loop. Command line, evaluations and servers consume its events.

The loop alone enforces windows and editable positions, applies decisions, writes memory and makes events; a strategy
only decides.
"""

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..models.kept import Kept
from ..predictor import Predictor
from ..process.prediction import Prediction
from .caches.none import NoCache
from .canvas import CANCELLED, UNDECIDED, Canvas
from .decoder import Decoder
from .event import Event
from .look import Sites, read, run
from .strategies.strategy import Decision, Look, Memory, Step, Strategy

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Run:
    """Requests that are being decoded: their canvas, what their strategy remembers, and their keys and values."""

    canvas: Canvas
    decoder: Decoder
    memory: Memory
    kv: Kept | None = None

    def select(self, rows: Tensor) -> "Run":
        """Some of the requests: how they leave a batch."""
        kv = self.kv
        if kv is not None:
            copies = len(kv.filled) // len(self.canvas.ids)
            kv = kv[torch.cat([rows + copy * len(self.canvas.ids) for copy in range(copies)])]
        memory = {name: value[rows] for name, value in self.memory.items()}
        return Run(self.canvas.select(rows), self.decoder.select(rows.tolist()), memory, kv)


def denoise(predictor: Predictor, canvas: Canvas, how: Decoder | Strategy) -> Generator[Event, None, Canvas]:
    """Denoise until nothing is pending: yields the noise at the start and one event per step, returns the canvas."""
    last = canvas
    for last, happened in walk(predictor, canvas, how):  # noqa: B007 (the last one is returned)
        yield happened
    return last


def walk(predictor: Predictor, canvas: Canvas, how: Decoder | Strategy) -> Iterator[tuple[Canvas, Event]]:
    """The canvases of a denoising with their events, the noise at the start first. Finished requests cost nothing."""
    began = step_began = time.monotonic()
    present = begin(predictor, canvas, how if isinstance(how, Decoder) else Decoder(how))
    everyone = present.canvas
    limit = int(present.decoder.strategy.bound(everyone).max())
    nothing = torch.zeros_like(everyone.pending)
    yield everyone, event(everyone, nothing, nothing)
    rows = torch.arange(len(everyone.ids), device=everyone.ids.device)
    while True:
        running = ~present.canvas.done
        left = int(running.sum())
        if not left:
            return
        if limit == 0:
            raise RuntimeError(f"{present.decoder.strategy} left positions pending beyond its bound on steps")
        if left < len(rows):
            keep = running.nonzero()[:, 0]
            present, rows = present.select(keep), rows[keep]
        now = time.monotonic()
        exhausted = _exhausted(present, 1000 * (now - began), 1000 * (now - step_began))
        step_began = now
        if bool(exhausted.any()):
            present, write, revised = complete(predictor, present, exhausted)
        else:
            present, write, revised = denoise_step(predictor, present)
            limit -= 1
        if len(rows) == len(everyone.ids):
            everyone = present.canvas
        else:
            everyone = everyone.put(rows, present.canvas)
            write, revised = (nothing.index_copy(0, rows, value) for value in (write, revised))
        yield everyone, event(everyone, write, revised)


def begin(predictor: Predictor, canvas: Canvas, decoder: Decoder) -> Run:
    """Check everything, draw the noise that pending positions start from, and set up memory."""
    decoder.check(predictor, canvas)
    decoder = replace(decoder, cache=decoder.cache.settle(predictor, canvas))
    strategy = decoder.strategy
    noise = strategy.noise(predictor.process, canvas)
    canvas = canvas.replace(ids=torch.where(canvas.pending, noise, canvas.ids))
    copies = 1 if decoder.guidance is None else decoder.guidance.copies
    kv = decoder.cache.memory(predictor, canvas, copies * len(canvas.ids), strategy.shadows)
    return Run(canvas, decoder, strategy.begin(predictor.process, canvas), kv)


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
def denoise_step(predictor: Predictor, present: Run) -> tuple[Run, Bool[Tensor, "R L"], Bool[Tensor, "R L"]]:
    """One step of every request that is not done; requests may be at different steps of different windows."""
    process, canvas, strategy = predictor.process, present.canvas, present.decoder.strategy
    step = strategy.step(process, canvas)
    wanted = strategy.reads(process, canvas, step)
    if present.decoder.guidance is not None and present.decoder.guidance.by_step(process):
        wanted = wanted | canvas.window & canvas.pending  # guidance also decides whether a token stays noise
    sites = Sites.of(wanted)
    write, revised = torch.zeros_like(canvas.pending), torch.zeros_like(canvas.pending)
    after, memory = canvas, present.memory
    if sites.index.shape[1]:
        prediction, after = _observe(predictor, present, sites, times(canvas, step), wanted.any(-1))
        seen = _seen(present, sites, prediction)
        decision = strategy.advance(process, seen, step, memory)
        memory = decision.memory
        if present.decoder.constraint:
            decision = _hold_back(present.decoder, seen, decision)
        after, write, revised = apply(after, sites, decision, strategy.may_revoke(canvas))
        given = torch.inf if decision.certificate is None else decision.certificate
        after = after.replace(certificate=canvas.certificate.clamp(min=given))
    after = _stop(present.decoder, _tick(canvas, after))
    return Run(after, present.decoder, memory, present.kv), write, revised


@torch.no_grad()
def complete(
    predictor: Predictor, present: Run, which: Bool[Tensor, " R"]
) -> tuple[Run, Bool[Tensor, "R L"], Bool[Tensor, "R L"]]:
    """Decide all that is pending in some requests, in every window, from one evaluation."""
    before, strategy = present.canvas, present.decoder.strategy
    wanted = before.pending & which[:, None]
    sites = Sites.of(wanted)
    step = strategy.step(predictor.process, before)
    whole = replace(present, decoder=replace(present.decoder, cache=NoCache()), kv=None)
    prediction, canvas = _observe(predictor, whole, sites, times(before, step), which)
    while bool((canvas.pending & which[:, None]).any()):  # once, unless a constraint holds something back
        seen = _seen(replace(present, canvas=canvas), sites, prediction)
        proposal = strategy.propose(seen)
        decision = Decision(seen.open, proposal.ids, torch.zeros_like(seen.open), proposal.logp)
        if present.decoder.constraint:
            decision = _hold_back(present.decoder, seen, decision)
        canvas = apply(canvas, sites, decision, False, everywhere=True)[0]
    certificate = canvas.certificate.masked_fill(which, torch.inf)
    canvas = canvas.replace(
        clock=torch.where(which, 0, canvas.clock), step=canvas.step + which, certificate=certificate
    )
    return replace(present, canvas=_stop(present.decoder, canvas)), wanted, torch.zeros_like(wanted)


def _observe(
    predictor: Predictor, present: Run, sites: Sites, t: Float[Tensor, "R L"], running: Bool[Tensor, " R"]
) -> tuple[Prediction, Canvas]:
    """A prediction at the sites, and the canvas with what it cost. Requests that are not running stay out of it."""
    canvas, decoder, copies = present.canvas, present.decoder, 1
    if decoder.guidance is not None:
        copies = decoder.guidance.copies
        canvas, t = decoder.guidance.expand(predictor, canvas, t)
        sites = Sites(sites.index.repeat(copies, 1), sites.live.repeat(copies, 1))
    rows = decoder.cache.recompute(canvas, present.kv) & running.repeat(copies)[:, None]
    shadowed = ~sites.gather(canvas.pending) & decoder.strategy.in_shadow(canvas) if decoder.strategy.shadows else None
    view = decoder.strategy.view(present.canvas, present.memory)
    if view is not None and copies > 1:
        view = view.select(torch.arange(len(present.canvas.ids), device=t.device).repeat(copies))
    hidden, counts = run(predictor, canvas, sites, t, rows, present.kv, shadowed, view)
    prediction = read(predictor, canvas, sites, t, hidden, view)
    if decoder.banned:
        banned = torch.tensor(decoder.banned, device=prediction.logits.device)
        logits = prediction.logits.index_fill(-1, banned, -torch.inf)
        prediction = replace(prediction, logits=logits)
    if decoder.guidance is not None:
        parts = tuple(_part(prediction, copy, copies) for copy in range(copies))
        first = torch.arange(len(present.canvas.ids), device=t.device)
        prediction = decoder.guidance.guide(predictor, present.canvas, sites.select(first), t[first], parts)
    spent = running.long()
    return prediction, present.canvas.replace(
        nfe=present.canvas.nfe + spent, rows=present.canvas.rows + counts.view(copies, -1).sum(0)
    )


def _part(prediction: Prediction, copy: int, copies: int) -> Prediction:
    size = len(prediction.logits) // copies
    part = slice(copy * size, (copy + 1) * size)
    return Prediction(prediction.logits[part], prediction.kind, lambda: prediction.evidence()[part])


def _seen(present: Run, sites: Sites, prediction: Prediction) -> Look:
    canvas, constraint = present.canvas, present.decoder.constraint
    return Look(
        canvas,
        sites,
        prediction=prediction,
        ids=sites.gather(canvas.ids),
        draws=canvas.draws.gather(sites.index),
        allowed=constraint.allowed(canvas, sites) if constraint else None,
        joint=(lambda log_p, draws: constraint.joint(canvas, sites, log_p, draws)) if constraint else None,
    )


def apply(
    canvas: Canvas, sites: Sites, decision: Decision, revocable: bool | Tensor, *, everywhere: bool = False
) -> tuple[Canvas, Tensor, Tensor]:
    """The canvas with a decision carried out, what it committed and what it revised (R, L)."""
    was_pending = sites.gather(canvas.pending)
    writable = sites.live & sites.gather(canvas.editable if everywhere else canvas.window) & (was_pending | revocable)
    old = sites.gather(canvas.ids)
    new = torch.where(decision.write & writable, decision.ids, old)
    pending = torch.where(writable, decision.pending, was_pending)
    committed = writable & decision.write & ~pending & (was_pending | (new != old))
    revised = writable & ~was_pending & (pending | (new != old))
    written = writable & decision.write & pending  # a token may stand at a position that is kept open
    blank = torch.zeros_like(canvas.pending)
    commit_step = sites.gather(canvas.commit_step).where(~pending, UNDECIDED)
    after = canvas.replace(
        ids=sites.scatter(new, canvas.ids),
        pending=sites.scatter(pending, canvas.pending),
        commit_step=sites.scatter(torch.where(committed, canvas.step[:, None], commit_step), canvas.commit_step),
        commit_logp=sites.scatter(
            torch.where(committed | written, decision.logp.float(), sites.gather(canvas.commit_logp)),
            canvas.commit_logp,
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
        window=canvas.window,
        nfe=canvas.nfe,
        done=canvas.done,
    )


def _hold_back(decoder: Decoder, seen: Look, decision: Decision) -> Decision:
    """Keep pending what a constraint does not let be committed together with the rest."""
    assert decoder.constraint is not None
    chosen = decision.write & ~decision.pending & seen.open
    kept = decoder.constraint.together(seen.canvas, seen.sites, chosen, decision.ids)
    held = chosen & ~kept
    return decision.replace(
        write=decision.write & ~held, pending=decision.pending | held, ids=torch.where(held, seen.ids, decision.ids)
    )


def _tick(before: Canvas, after: Canvas) -> Canvas:
    """Advance the clocks of requests that were not done; a finished window starts the next one's clock."""
    running = ~before.done
    same = before.current == after.current
    return after.replace(clock=torch.where(running & same, before.clock + 1, 0), step=before.step + running)


def _stop(decoder: Decoder, canvas: Canvas) -> Canvas:
    """Cancel what follows a stop token that is certain: it lies in text decided without a gap.

    Under block diffusion its block must be finished, and strategies that may take a token back finish their window.
    """
    if not decoder.stop:
        return canvas
    settled = ~canvas.pending & canvas.editable
    settled &= ~(canvas.window & decoder.strategy.may_revoke(canvas))
    settled &= canvas.finished_blocks | (canvas.span == 0)[:, None]
    without_gap = (canvas.editable & ~settled).cumsum(-1) == 0
    stops = torch.isin(canvas.ids, torch.tensor(decoder.stop, device=canvas.ids.device)) & settled & without_gap
    cancelled = canvas.pending & stops.any(-1, keepdim=True)
    if not bool(cancelled.any()):
        return canvas
    return canvas.replace(
        pending=canvas.pending & ~cancelled,
        editable=canvas.editable & ~cancelled,
        valid=canvas.valid & ~cancelled,
        commit_step=torch.where(cancelled, CANCELLED, canvas.commit_step),
    )


def _exhausted(present: Run, elapsed: float, pace: float) -> Bool[Tensor, " R"]:
    """Requests whose next evaluation must be their last; `pace` is what the last step took (ms)."""
    budget, nfe = present.decoder.budget, present.canvas.nfe
    if budget.deadline_ms is not None and elapsed + 2 * pace > budget.deadline_ms:
        return torch.ones_like(present.canvas.done)
    return torch.zeros_like(present.canvas.done) if budget.max_nfe is None else nfe >= budget.max_nfe - 1
