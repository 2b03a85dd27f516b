"""A step of a batch: one pass over the text for all requests, one decision per group, and the canvas after it."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..predictor import Predictor
from ..process.prediction import Prediction
from .batch import FEEDBACK, Batch, Group
from .canvas import CANCELLED, UNDECIDED, Canvas
from .observe import observe
from .passes import Sites
from .proposal import log_prob
from .strategies.strategy import Decision, Memory, Observation, Step


@dataclass(frozen=True, eq=False)
class Turn:
    """A group's part of a step: its canvas, where that stands, and the positions of which it asks the network."""

    group: Group
    canvas: Canvas
    step: Step
    wanted: Bool[Tensor, "n L"]


def _turn(predictor: Predictor, batch: Batch, group: Group) -> Turn:
    process, canvas, strategy, guidance = predictor.process, batch.of(group), group.how.strategy, group.how.guidance
    at = strategy.step(process, canvas)
    wanted = strategy.reads(process, canvas, at)
    if guidance is not None and guidance.by_step(process):
        wanted = wanted | canvas.window & canvas.pending  # guidance also decides whether a token stays noise
    if group.constraint is not None:
        wanted = group.constraint.reads(canvas, wanted)
    if predictor.traits.one_sided:  # of the rest nothing is known before the first is decided
        wanted = wanted & (wanted.cumsum(-1) == 1)
    return Turn(group, canvas, at, wanted)


def advanced(predictor: Predictor, batch: Batch) -> tuple[Batch, Bool[Tensor, "R L"], Bool[Tensor, "R L"]]:
    """The batch after a step, and what that committed and revised."""
    canvas = batch.canvas
    turns = [_turn(predictor, batch, group) for group in batch.groups]
    wanted = batch.spread([turn.wanted for turn in turns])
    sizes = wanted.sum(-1).cpu()
    sites = Sites.of(wanted, int(sizes.max()))
    committed, revised = torch.zeros_like(canvas.pending), torch.zeros_like(canvas.pending)
    after = canvas
    if sites.index.shape[1]:
        t = batch.spread([times(turn.canvas, turn.step) for turn in turns])
        predictions, after = observe(predictor, batch, sites, t, sizes)
        decisions = [
            _decided(predictor, batch, turn, sites, prediction, bool(sizes[turn.group.rows].any()))
            for turn, prediction in zip(turns, predictions, strict=True)
        ]
        groups = tuple(
            replace(turn.group, memory=decision.memory) for turn, decision in zip(turns, decisions, strict=True)
        )
        batch = replace(batch, groups=groups)
        decision, given = _together(batch, decisions)
        after, committed, revised = apply(after, sites, decision, _revocable(batch))
        if decision.hold is not None:
            after = after.replace(held=canvas.current.where(decision.hold, UNDECIDED))
        given = torch.where(wanted.any(-1), given, 0.0)  # a request that asked nothing decided nothing
        after = after.replace(certificate=torch.maximum(canvas.certificate, given))
    return batch.replace(_stopped(batch, _tick(canvas, after))), committed, revised


def _decided(
    predictor: Predictor, batch: Batch, turn: Turn, sites: Sites, prediction: Prediction, asked: bool
) -> Decision:
    """What a group decides; nothing where none of its requests asked the network."""
    if not asked:
        here = sites.select(batch.part(turn.group.rows))
        nothing, ids = torch.zeros_like(here.live), here.gather(turn.canvas.ids)
        return Decision(
            nothing, ids, here.gather(turn.canvas.pending), torch.zeros_like(ids).float(), turn.group.memory
        )
    seen = _observation(batch, turn.group, turn.canvas, sites, prediction)
    decision = turn.group.how.strategy.advance(predictor.process, seen, turn.step, turn.group.memory)
    if (told := turn.group.memory.get(FEEDBACK)) is not None:
        decision = replace(decision, memory={**decision.memory, FEEDBACK: _told(predictor, seen, decision, told)})
    return _recorded(predictor, turn.group, seen, _hold_back(turn.group, seen, decision))


def told_nothing(predictor: Predictor, canvas: Canvas) -> Memory:
    """What a network that reads its own last prediction is told before there is one."""
    if not predictor.traits.feedback:
        return {}
    shape = (*canvas.ids.shape, predictor.traits.feedback)
    return {FEEDBACK: torch.zeros(shape, dtype=predictor.denoiser.number_format, device=canvas.ids.device)}


def _told(
    predictor: Predictor, seen: Observation, decision: Decision, before: Float[Tensor, "n L d"]
) -> Float[Tensor, "n L d"]:
    """What the network is told in its next evaluation: at the sites what this one said, as the strategy reads it."""
    belief = seen.prediction
    if decision.belief is not None:
        belief = Prediction(decision.belief, "posterior", belief.evidence)
    sites, told = seen.sites, predictor.fed_back(belief).to(before.dtype)
    index = sites.index[..., None].expand_as(told)
    return before.scatter(1, index, torch.where(sites.live[..., None], told, before.gather(1, index)))


def _together(batch: Batch, decisions: list[Decision]) -> tuple[Decision, Tensor | float]:
    """The decisions of all groups as one, and their certificates."""
    if len(decisions) == 1:
        return decisions[0], torch.inf if decisions[0].certificate is None else decisions[0].certificate
    given = [
        batch.canvas.certificate.new_full((len(group.rows),), torch.inf)
        if decision.certificate is None
        else decision.certificate.double()
        for group, decision in zip(batch.groups, decisions, strict=True)
    ]
    held = [
        torch.zeros_like(decision.write[:, 0]) if decision.hold is None else decision.hold for decision in decisions
    ]
    return Decision(
        batch.spread([decision.write for decision in decisions]),
        batch.spread([decision.ids for decision in decisions]),
        batch.spread([decision.pending for decision in decisions]),
        batch.spread([decision.logp.float() for decision in decisions]),
        hold=None if all(decision.hold is None for decision in decisions) else batch.spread(held),
    ), batch.spread(given)


def _revocable(batch: Batch) -> bool | Bool[Tensor, "R 1"]:
    """Which requests may change decided positions of their window."""
    answers = [group.how.strategy.revocable for group in batch.groups]
    if len(set(answers)) == 1:
        return answers[0]
    pending = batch.canvas.pending
    return batch.spread([pending.new_full((len(g.rows), 1), a) for g, a in zip(batch.groups, answers, strict=True)])


def completed(predictor: Predictor, batch: Batch, late: list[int]) -> tuple[Batch, Bool[Tensor, "R L"]]:
    """The batch with all that is pending in some requests decided, in every window, from one evaluation."""
    some = batch.select(late).uncached()
    canvas = some.canvas
    wanted = canvas.pending
    sizes = wanted.sum(-1).cpu()
    sites = Sites.of(wanted, int(sizes.max()))
    steps = [group.how.strategy.step(predictor.process, some.of(group)) for group in some.groups]
    t = some.spread([times(some.of(group), at) for group, at in zip(some.groups, steps, strict=True)])
    predictions, canvas = observe(predictor, some, sites, t, sizes) if int(sizes.max()) else ([], canvas)
    while bool(canvas.pending.any()):  # once, unless a constraint holds something back
        some = some.replace(canvas)
        decisions = [
            _proposed(predictor, some, group, sites, prediction)
            for group, prediction in zip(some.groups, predictions, strict=True)
        ]
        canvas = apply(canvas, sites, _together(some, decisions)[0], False, everywhere=True)[0]
    ended = canvas.replace(
        clock=torch.zeros_like(canvas.clock),
        step=canvas.step + 1,
        certificate=torch.full_like(canvas.certificate, torch.inf),
        held=torch.full_like(canvas.held, UNDECIDED),
    )
    ended = _stopped(some, ended)
    index = torch.tensor(late, device=wanted.device)
    return batch.replace(batch.canvas.put(index, ended)), torch.zeros_like(batch.canvas.pending).index_copy(
        0, index, wanted
    )


def _proposed(predictor: Predictor, batch: Batch, group: Group, sites: Sites, prediction: Prediction) -> Decision:
    seen = _observation(batch, group, batch.of(group), sites, prediction)
    proposal = group.how.strategy.propose(seen)
    logp = proposal.logp
    if not predictor.process.shows_tokens:  # a token that is kept open stands there, and says nothing about itself
        logp = logp.where(seen.ids == predictor.process.mask, seen.sites.gather(seen.canvas.commit_logp).double())
    decided = Decision(seen.open, proposal.ids, torch.zeros_like(seen.open), logp)
    return _recorded(predictor, group, seen, _hold_back(group, seen, decided))


def _recorded(predictor: Predictor, group: Group, seen: Observation, decision: Decision) -> Decision:
    """With ln p of the tokens that it puts given all but what stood there, and what a constraint allows (nats).

    What a constraint ties together has the probability of all that is put there at once, shared out in reading order.
    Where noise hides tokens and nothing constrains them, that is what a strategy says.
    """
    shows = predictor.process.shows_tokens
    if not shows and seen.allowed is None:
        return decision
    mask = predictor.process.mask
    fresh = ~decision.pending if shows else (decision.ids != seen.ids) & (decision.ids != mask)
    put = decision.write & seen.open & fresh
    if not bool(put.any()):
        return decision
    log_p = seen.prediction.apart() if shows else seen.prediction.posterior()
    if seen.allowed is not None:
        log_p = log_p.masked_fill(~seen.allowed, -torch.inf).log_softmax(-1)
    ids = torch.where(put, decision.ids, log_p.argmax(-1))
    logp = log_prob(log_p, ids)
    if group.constraint is not None:
        logp = group.constraint.chained(seen.canvas, seen.sites, log_p, put, ids, logp)
    return decision.replace(logp=torch.where(put, logp, decision.logp.double()))


def _observation(batch: Batch, group: Group, canvas: Canvas, sites: Sites, prediction: Prediction) -> Observation:
    constraint = group.constraint
    here = sites.select(batch.part(group.rows))
    allowed = constraint.allowed(canvas, here) if constraint else None
    if allowed is not None:  # sites that pad stand anywhere, also where a constraint excludes what is fixed
        allowed = allowed | ~here.live[..., None]
    return Observation(
        canvas,
        here,
        prediction=prediction,
        ids=here.gather(canvas.ids),
        draws=canvas.draws.gather(here.index),
        allowed=allowed,
        joint=(lambda log_p, draws: constraint.joint(canvas, here, log_p, draws)) if constraint else None,
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
    """Noise level of every position: the step's in the window, the beginning's in later ones, 0 where decided."""
    later = canvas.begins[:, None]
    return torch.where(canvas.pending, torch.where(canvas.window, step.t[:, None], later), 0.0)


def _hold_back(group: Group, seen: Observation, decision: Decision) -> Decision:
    """Keep as it is what a constraint does not let be committed, or exchanged, together with the rest."""
    if group.constraint is None:
        return decision
    chosen = decision.write & ~decision.pending & (seen.open | (decision.ids != seen.ids))
    kept = group.constraint.together(seen.canvas, seen.sites, chosen, decision.ids)
    held = chosen & ~kept
    return decision.replace(
        write=decision.write & ~held,
        pending=decision.pending | held & seen.open,
        ids=torch.where(held, seen.ids, decision.ids),
    )


def _tick(before: Canvas, after: Canvas) -> Canvas:
    """Advance the clocks of requests that were not done; a finished window starts the next one's clock."""
    running = ~before.done
    same = before.current == after.current
    return after.replace(clock=torch.where(running & same, before.clock + 1, 0), step=before.step + running)


def _stopped(batch: Batch, canvas: Canvas) -> Canvas:
    """Cancel what follows a stop token that is certain."""
    if batch.stop is None:
        return canvas
    early = batch.seats.early
    early = early.to(canvas.ids.device) if isinstance(early, Tensor) else early
    stops = (canvas.ids[..., None] == batch.stop[:, None]).any(-1) & canvas.certain(_revocable(batch), early)
    cancelled = canvas.pending & stops.any(-1, keepdim=True)
    if not bool(cancelled.any()):
        return canvas
    return canvas.replace(
        pending=canvas.pending & ~cancelled,
        editable=canvas.editable & ~cancelled,
        valid=canvas.valid & ~cancelled,
        commit_step=torch.where(cancelled, CANCELLED, canvas.commit_step),
    )
