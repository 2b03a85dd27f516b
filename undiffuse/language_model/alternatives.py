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
from jaxtyping import Bool, Float
from torch import Tensor

from ..decode.advance import times
from ..decode.canvas import Canvas
from ..decode.guidance.guidance import Guidance
from ..decode.observe import guided_at
from ..decode.passes import Sites
from ..decode.proposal import Proposal, Restricted, log_prob
from ..decode.strategies.strategy import Strategy, best
from .choices import members
from .many import in_batches
from .placement import Placement, constraint
from .results import Alternative
from .settings import Settings
from .trained import Trained

Where = tuple[int, int]  # request, hole
CERTAIN = 1e-6  # nats


@torch.no_grad()
def alternatives(
    model: Trained, placements: Sequence[Placement], settings: Settings, trail: list[Canvas], count: int
) -> dict[Where, tuple[Alternative, ...]]:
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
        for door, log_p in zip(some, _distributions(model, settings, some), strict=True):
            answer = done.ids[door.row, door.place]
            if model.predictor.process.mask is None:  # by how much the exchange changes what all have together
                log_p = log_p - log_p[answer] + done.commit_logp[door.row, door.place]
            log_p[answer] = -torch.inf
            values, tokens = log_p.topk(min(count, len(log_p)))
            branches += [
                Branch(door, _with_token(door, token, value))
                for value, token in zip(values.tolist(), tokens, strict=True)
                if value > -torch.inf
            ]
    return _answers(model, settings.guidance, branches, done)


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

    `base` is the text that the other token is put into.
    """

    placement: Placement
    row: int
    hole: int
    place: int
    before: Canvas
    base: Canvas

    @classmethod
    def of(
        cls, model: Trained, placement: Placement, trail: list[Canvas], written: Written, row: int, hole: int
    ) -> "Door":
        process, this = model.predictor.process, torch.tensor([row])
        step, place = written.first(row, *placement.holes[hole])
        before = trail[step].select(this)
        base = trail[-1].select(this) if process.mask is None else before.replace(pending=written.open[step][this])
        return cls(placement, row, hole, place, before, base)

    def inside(self) -> Bool[Tensor, "1 L"]:
        """The positions of the hole."""
        begin, end = self.placement.holes[self.hole]
        return (self.base.positions >= begin) & (self.base.positions < end)


@dataclass(frozen=True, eq=False)
class Branch:
    """A request with another token in one place, to be completed."""

    door: Door
    canvas: Canvas


def _distributions(model: Trained, settings: Settings, doors: Sequence[Door]) -> Float[Tensor, "R V"]:
    """ln p of the tokens that may stand at a position of each `base`, as the model saw it `before`."""
    before = Canvas.concatenate([door.before for door in doors])
    base = Canvas.concatenate([door.base for door in doors])
    place = torch.tensor([door.place for door in doors], device=before.ids.device)
    here = before.positions == place[:, None]
    state = base.replace(pending=base.pending | here)
    inside = torch.cat([door.inside() for door in doors])
    sites = Sites.of(here | (state.pending & state.window & inside))  # a type looks at all of them together
    log_p, restricted = _conditional(model, settings.strategy, settings.guidance, doors, before, state, sites)
    return (log_p if restricted is None else restricted.log_p)[sites.live & (sites.index == place[:, None])]


def _conditional(
    model: Trained,
    strategy: Strategy,
    guidance: Guidance | None,
    doors: Sequence[Door],
    seen: Canvas,
    state: Canvas,
    sites: Sites,
) -> tuple[Float[Tensor, "R M V"], Restricted | None]:
    """ln p of what may stand at the sites of a `state` given what is `seen`, and what a type makes of them together."""
    process = model.predictor.process
    prediction = guided_at(model.predictor, seen, sites, times(seen, strategy.step(process, seen)), guidance)
    allowing = constraint([door.placement for door in doors])
    log_p = prediction.apart() if process.shows_tokens else prediction.posterior()
    allowed = allowing.allowed(state, sites)
    log_p = (log_p if allowed is None else log_p.masked_fill(~allowed, -torch.inf)).log_softmax(-1)
    return log_p, allowing.joint(state, sites, log_p, None)


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
) -> dict[Where, tuple[Alternative, ...]]:
    """The branches completed and put in order."""
    found: dict[Where, dict[str, float]] = {}
    for some in in_batches(branches, done.ids.shape[1]):
        canvas = _completed(model, guidance, some)
        for number, door in enumerate(branch.door for branch in some):
            text, probability = door.placement.answer(canvas, number, door.hole)
            if text != door.placement.answer(done, door.row, door.hole)[0]:
                others = found.setdefault((door.row, door.hole), {})
                others[text] = max(probability, others.get(text, 0.0))
    return {
        where: tuple(Alternative(text, p) for text, p in sorted(others.items(), key=lambda item: -item[1]))
        for where, others in found.items()
    }


def _completed(model: Trained, guidance: Guidance | None, branches: Sequence[Branch]) -> Canvas:
    """Every branch with the rest of its hole decided by the most confident choices, one by one."""
    canvas = Canvas.concatenate([branch.canvas for branch in branches])
    inside = torch.cat([branch.door.inside() for branch in branches])
    mask = model.predictor.process.mask
    if mask is not None:
        canvas = canvas.replace(ids=canvas.ids.masked_fill(canvas.pending, mask))
    while bool((left := canvas.pending & inside).any()):
        rows = left.any(-1).nonzero()[:, 0]
        doors = [branches[row].door for row in rows.tolist()]
        canvas = canvas.put(rows, _further(model, guidance, doors, canvas.select(rows), left[rows]))
    return canvas


def _further(
    model: Trained, guidance: Guidance | None, doors: Sequence[Door], canvas: Canvas, left: Bool[Tensor, "R L"]
) -> Canvas:
    """One more token of every hole: of what is left of it in its earliest window, the most confident."""
    last = canvas.steps.shape[1]
    window = canvas.window_number.masked_fill(~left, last)
    sites = Sites.of(left & (window == window.amin(-1, keepdim=True)))
    strategy = Settings.of("confidence", temperature=0.0).strategy
    log_p, restricted = _conditional(model, strategy, guidance, doors, canvas, canvas, sites)
    log_p = log_p if restricted is None else restricted.log_p
    ids = log_p.argmax(-1) if restricted is None else restricted.ids
    logp = log_prob(log_p, ids)
    one = best(Proposal(ids, logp, logp, log_p).odds, sites.live, torch.ones_like(canvas.step))
    blank = torch.zeros_like(canvas.ids)
    at = sites.scatter(one, torch.zeros_like(canvas.pending))
    return _put(canvas, at, sites.scatter(ids, blank), sites.scatter(logp, torch.zeros_like(canvas.commit_logp)))
