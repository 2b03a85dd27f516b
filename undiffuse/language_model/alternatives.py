"""Further answers for holes, by the same definition as the answer's.

At the step in which a hole was first written, its first position could have held another token (where nothing else
could stand, the next position). Each of the best others is put there, and the rest of the hole is completed by the
most confident choices, one by one, while all else stays as it was before that step. The probability is again the
product over the hole's tokens in their order of commitment, so each is p(other | what was decided before):

    p(x_1 … x_k | decided) = Π_j p(x_j | decided, x_1 … x_{j−1}),

from one row of the network per token of the hole. What is written and taken back later counts too: when it comes back
it may be the only token that fits the rest. Where noise has no mask everything is decided in the last step together, so
the token is exchanged and nothing else changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..decode.advance import times
from ..decode.canvas import Canvas
from ..decode.evaluation import Evaluate, Evaluated
from ..decode.guidance.guidance import Guidance
from ..decode.observe import guided_at
from ..decode.passes import Sites
from ..decode.proposal import Proposal, Restricted, log_prob
from ..decode.strategies.strategy import best
from .choices import members
from .many import in_batches
from .placement import Placement, constraint
from .results import Alternative
from .settings import Settings
from .trained import Trained
from .vectors import read_apart

Where = tuple[int, int]  # request, hole
CERTAIN = 1e-6  # nats


@torch.no_grad()
def alternatives(
    model: Trained, placements: Sequence[Placement], settings: Settings, trail: list[Canvas], count: int
) -> Evaluated[dict[Where, tuple[Alternative, ...]]]:
    """Up to `count` other answers per request and hole, most probable first; `trail` holds the canvas at every step.

    The requests, each with its placement, are those of several texts, `settings.samples` each.
    """
    done, written = trail[-1], Written.of(model, trail)
    doors = [
        Door.of(model, placement, trail, written, row, hole)
        for row, placement in enumerate(placements)
        for hole, blank in enumerate(placement.form.blanks)
        if members(blank) is None  # few texts are compared with each other (`choices.py`)
    ]
    branches: list[Branch] = []
    for some in in_batches(doors, done.ids.shape[1]):
        look = yield from Look.at(model, settings, some)
        for number, (door, log_p) in enumerate(zip(some, look.at_places(some), strict=True)):
            answer = done.ids[door.row, door.place]
            if model.predictor.process.mask is None:  # by how much the exchange changes what all have together
                log_p = log_p - log_p[answer] + done.commit_logp[door.row, door.place]
            log_p[answer] = -torch.inf
            values, tokens = log_p.topk(min(count, len(log_p)))
            values, tokens = values[values > -torch.inf], tokens[values > -torch.inf]
            if door.at_once and len(tokens):
                branches += [Branch(door, canvas) for canvas in look.together(number, door, tokens)]
            else:
                each = zip(values.tolist(), tokens, strict=True)
                branches += [Branch(door, _with_token(door, token, value)) for value, token in each]
    return (yield from _answers(model, settings.guidance, branches, done))


@dataclass(frozen=True, eq=False)
class Written:
    """The steps of a decoding: where nothing is decided before each of them and after the last, and what is recorded.

    Where tokens are no noise, one that stands is written, though a strategy may keep it open.
    """

    open: Bool[Tensor, "T R L"]
    logp: Float[Tensor, "T R L"]

    @classmethod
    def of(cls, model: Trained, trail: Sequence[Canvas]) -> "Written":
        process = model.predictor.process
        open_ = [canvas.pending & (process.shows_tokens | (canvas.ids == process.mask)) for canvas in trail]
        return cls(torch.stack(open_), torch.stack([canvas.commit_logp for canvas in trail]))

    def first(self, row: int, begin: int, end: int) -> tuple[int, int]:
        """The step that wrote a hole first, and the position that it wrote, of several the most probable one.

        Positions whose token was the only possible one come last: nothing else could have stood there.
        """
        open_, logp = self.open[:, row, begin:end], self.logp[1:, row, begin:end]
        written = open_[:-1] & ~open_[1:]
        unforced = written & (logp < -CERTAIN)
        worth = logp.masked_fill(~(unforced if bool(unforced.any()) else written), -torch.inf)
        step = int((worth > -torch.inf).any(-1).byte().argmax())
        return step, begin + int(worth[step].argmax())


@dataclass(frozen=True, eq=False)
class Door:
    """Where another answer begins: the first position of a hole to be written, and the text before that step.

    `base` is the text that the other token is put into. `at_once` says that a type ties the tokens of the hole and all
    are decided in one step, so that they are exchanged together.
    """

    placement: Placement
    row: int
    hole: int
    place: int
    before: Canvas
    base: Canvas
    at_once: bool

    @classmethod
    def of(
        cls, model: Trained, placement: Placement, trail: list[Canvas], written: Written, row: int, hole: int
    ) -> "Door":
        process, this = model.predictor.process, torch.tensor([row])
        step, place = written.first(row, *placement.holes[hole])
        before = trail[step].select(this)
        base = trail[-1].select(this) if process.mask is None else before.replace(pending=written.open[step][this])
        at_once = process.mask is None and placement.form.blanks[hole].language is not None
        return cls(placement, row, hole, place, before, base, at_once)

    def tied(self) -> Bool[Tensor, "1 L"]:
        """The positions that are open where another answer begins: the place, and the rest of a hole that is tied."""
        if not self.at_once:
            return self.base.positions == self.place
        return self.inside() & (self.base.window_number == self.base.window_number[:, self.place])

    def inside(self) -> Bool[Tensor, "1 L"]:
        """The positions of the hole."""
        begin, end = self.placement.holes[self.hole]
        return (self.base.positions >= begin) & (self.base.positions < end)


@dataclass(frozen=True, eq=False)
class Branch:
    """A request with another token in one place, to be completed."""

    door: Door
    canvas: Canvas


@dataclass(frozen=True, eq=False)
class Look:
    """ln p of the tokens that may stand at the sites of each `state`, and the same given a type, of all sites together.

    Sites are open positions of a hole: a type looks at all of them together.
    """

    state: Canvas
    sites: Sites
    log_p: Float[Tensor, "R M V"]
    restricted: Restricted | None

    @classmethod
    def at(cls, model: Trained, settings: Settings, doors: Sequence[Door]) -> "Evaluated[Look]":
        before = Canvas.concatenate([door.before for door in doors])
        base = Canvas.concatenate([door.base for door in doors])
        tied = torch.cat([door.tied() for door in doors])
        state = base.replace(pending=base.pending | tied)
        inside = torch.cat([door.inside() for door in doors])
        sites = _sites(model, tied | (state.pending & state.window & inside))
        process = model.predictor.process
        if process.moves_vectors:
            return cls.of((yield from read_apart(model, base, tied)), doors, state, sites)
        t = times(before, settings.strategy.step(process, before))
        yield Evaluate.of(before.ids)
        prediction = guided_at(model.predictor, before, sites, t, settings.guidance)
        return cls.of(prediction.apart() if process.shows_tokens else prediction.posterior(), doors, state, sites)

    @classmethod
    def of(cls, log_p: Float[Tensor, "R M V"], doors: Sequence[Door], state: Canvas, sites: Sites) -> "Look":
        """What the model says at the sites, with what may stand there."""
        allowing = constraint([door.placement for door in doors])
        allowed = allowing.allowed(state, sites)
        log_p = (log_p if allowed is None else log_p.masked_fill(~allowed, -torch.inf)).log_softmax(-1)
        return cls(state, sites, log_p, allowing.joint(state, sites, log_p, None))

    @property
    def given(self) -> Float[Tensor, "R M V"]:
        """ln p given the type, where there is one."""
        return self.log_p if self.restricted is None else self.restricted.log_p

    def at_places(self, doors: Sequence[Door]) -> Float[Tensor, "R V"]:
        place = torch.tensor([door.place for door in doors], device=self.sites.index.device)
        return self.given[self.sites.live & (self.sites.index == place[:, None])]

    def together(self, number: int, door: Door, tokens: Int[Tensor, " K"]) -> list[Canvas]:
        """With each of some tokens the most probable text of the type, and its probability, of all tokens together."""
        rows = torch.full_like(tokens, number)
        allowing = constraint([door.placement] * len(tokens))
        state, sites, log_p = self.state.select(rows), self.sites.select(rows), self.log_p[rows]
        place = state.positions == door.place
        held = state.replace(ids=torch.where(place, tokens[:, None], state.ids), pending=state.pending & ~place)
        best = allowing.joint(held, sites, log_p, None)
        assert best is not None
        ids = torch.where(sites.index == door.place, tokens[:, None], best.ids)
        put = sites.live & sites.gather(state.pending)
        logp = allowing.chained(state, sites, log_p, put, ids, torch.zeros_like(log_p[..., 0]).double())
        at = sites.scatter(put, torch.zeros_like(state.pending))
        found = _put(state, at, sites.scatter(ids, state.ids), sites.scatter(logp, state.commit_logp))
        return [found.select(row[None]) for row in torch.arange(len(tokens))]


def _sites(model: Trained, wanted: Bool[Tensor, "R L"]) -> Sites:
    """The wanted positions; seen from one side, nothing is known of the rest before the first is decided."""
    return Sites.of(wanted & (wanted.cumsum(-1) == 1) if model.predictor.traits.one_sided else wanted)


def _with_token(door: Door, token: Tensor, logp: float) -> Canvas:
    at = door.base.positions == door.place
    return _put(door.base, at, token, torch.tensor(logp))


def _put(canvas: Canvas, at: Tensor, ids: Tensor, logp: Tensor) -> Canvas:
    return canvas.replace(
        ids=torch.where(at, ids, canvas.ids),
        pending=canvas.pending & ~at,
        commit_step=torch.where(at, canvas.step[:, None], canvas.commit_step),
        commit_logp=torch.where(at, logp.to(canvas.commit_logp), canvas.commit_logp),
    )


def _answers(
    model: Trained, guidance: Guidance | None, branches: Sequence[Branch], done: Canvas
) -> Evaluated[dict[Where, tuple[Alternative, ...]]]:
    """The branches completed and put in order."""
    found: dict[Where, dict[str, float]] = {}
    for some in in_batches(branches, done.ids.shape[1]):
        canvas = yield from _completed(model, guidance, some)
        for number, door in enumerate(branch.door for branch in some):
            text, probability = door.placement.answer(canvas, number, door.hole)
            if text != door.placement.answer(done, door.row, door.hole)[0]:
                others = found.setdefault((door.row, door.hole), {})
                others[text] = max(probability, others.get(text, 0.0))
    return {
        where: tuple(Alternative(text, p) for text, p in sorted(others.items(), key=lambda item: -item[1]))
        for where, others in found.items()
    }


def _completed(model: Trained, guidance: Guidance | None, branches: Sequence[Branch]) -> Evaluated[Canvas]:
    """Every branch with the rest of its hole decided by the most confident choices, one by one."""
    canvas = Canvas.concatenate([branch.canvas for branch in branches])
    inside = torch.cat([branch.door.inside() for branch in branches])
    mask = model.predictor.process.mask
    if mask is not None:
        canvas = canvas.replace(ids=canvas.ids.masked_fill(canvas.pending, mask))
    while bool((left := canvas.pending & inside).any()):
        rows = left.any(-1).nonzero()[:, 0]
        doors = [branches[row].door for row in rows.tolist()]
        yield Evaluate.of(canvas.ids[rows])
        canvas = canvas.put(rows, _further(model, guidance, doors, canvas.select(rows), left[rows]))
    return canvas


def _further(
    model: Trained, guidance: Guidance | None, doors: Sequence[Door], canvas: Canvas, left: Bool[Tensor, "R L"]
) -> Canvas:
    """One more token of every hole: of what is left of it in its earliest window, the most confident."""
    last = canvas.steps.shape[1]
    window = canvas.window_number.masked_fill(~left, last)
    sites = _sites(model, left & (window == window.amin(-1, keepdim=True)))
    process = model.predictor.process
    t = times(canvas, Settings.of("confidence", temperature=0.0).strategy.step(process, canvas))
    prediction = guided_at(model.predictor, canvas, sites, t, guidance)
    look = Look.of(prediction.posterior(), doors, canvas, sites)
    log_p = look.given
    ids = log_p.argmax(-1) if look.restricted is None else look.restricted.ids
    logp = log_prob(log_p, ids)
    one = best(Proposal(ids, logp, logp, log_p).odds, sites.live, torch.ones_like(canvas.step))
    blank = torch.zeros_like(canvas.ids)
    at = sites.scatter(one, torch.zeros_like(canvas.pending))
    return _put(canvas, at, sites.scatter(ids, blank), sites.scatter(logp, torch.zeros_like(canvas.commit_logp)))
