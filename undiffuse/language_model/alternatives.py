"""Further answers for holes, by the same definition as the answer's.

At the step in which a hole was first written, its first position could have held another token (where nothing else
could stand, the next position). Each of the best others is put there, the rest is completed by the most confident
choices, one by one, and the probability is again the product over the hole's tokens in their order of commitment. What
is written and taken back later counts too: when it comes back it may be the only token that fits the rest. Where noise
has no mask everything is decided in the last step together, so the token is exchanged and nothing else changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..decode.advance import times
from ..decode.canvas import Canvas
from ..decode.decoder import Decoder
from ..decode.guidance.guidance import Guidance
from ..decode.loop import denoise, finished
from ..decode.observe import guided_at
from ..decode.passes import Sites
from .many import batches
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
    done = trail[-1]
    texts: list[list[Branch]] = [[] for _ in range(len(placements) // settings.samples)]
    for sample in range(settings.samples):
        for hole in range(max(len(placement.holes) for placement in placements)):
            every = range(sample, len(placements), settings.samples)
            rows = [row for row in every if hole < len(placements[row].holes)]
            doors = [Door.of(model, placements[row], trail, row, hole) for row in rows]
            for door, log_p in zip(doors, _distributions(model, settings, doors), strict=True):
                answer = done.ids[door.row, door.place]
                if model.predictor.process.mask is None:  # by how much the exchange changes what all have together
                    log_p = log_p - log_p[answer] + done.commit_logp[door.row, door.place]
                log_p[answer] = -torch.inf
                values, tokens = log_p.topk(min(count, len(log_p)))
                for value, token in zip(values.tolist(), tokens, strict=True):
                    if value > -torch.inf:
                        texts[door.row // settings.samples].append(Branch(door, _with_token(door, token, value)))
    return _answers(model, settings.guidance, [branches for branches in texts if branches], done)


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
    def of(cls, model: Trained, placement: Placement, trail: list[Canvas], row: int, hole: int) -> "Door":
        begin, end = placement.holes[hole]
        process, this = model.predictor.process, torch.tensor([row])
        # without tokens that are noise, one that stands is written, though a strategy may keep it open
        open_ = [c.pending[row] & (process.shows_tokens | (c.ids[row] == process.mask)) for c in trail]
        logp = torch.stack([canvas.commit_logp[row, begin:end] for canvas in trail])
        step, place = _first_written(torch.stack(open_)[:, begin:end], logp)
        before = trail[step].select(this)
        base = trail[-1].select(this) if process.mask is None else before.replace(pending=open_[step][None])
        return cls(placement, row, hole, begin + place, before, base)


@dataclass(frozen=True, eq=False)
class Branch:
    """A request with another token in one place, to be completed."""

    door: Door
    canvas: Canvas


def _first_written(open_: Bool[Tensor, "T n"], logp: Float[Tensor, "T n"]) -> tuple[int, int]:
    """The step that wrote a hole first, and the position that it wrote, of several the most probable one.

    `open_` says where nothing is decided before every step and after the last, `logp` what is recorded then. Positions
    whose token was the only possible one come last: nothing else could have stood there.
    """
    written = open_[:-1] & ~open_[1:]
    unforced = written & (logp[1:] < -CERTAIN)
    worth = logp[1:].masked_fill(~(unforced if bool(unforced.any()) else written), -torch.inf)
    step = int((worth > -torch.inf).any(-1).byte().argmax())
    return step, int(worth[step].argmax())


def _distributions(model: Trained, settings: Settings, doors: Sequence[Door]) -> Float[Tensor, "R V"]:
    """ln p of the tokens that may stand at a position of each `base`, as the model saw it `before`."""
    before = Canvas.concatenate([door.before for door in doors])
    base = Canvas.concatenate([door.base for door in doors])
    place = torch.tensor([door.place for door in doors], device=before.ids.device)
    here = torch.arange(before.ids.shape[1], device=place.device) == place[:, None]
    state = base.replace(pending=base.pending | here)
    sites = Sites.of(here | (state.pending & state.window))  # a type looks at all of them together
    t = times(before, settings.strategy.step(model.predictor.process, before))
    prediction = guided_at(model.predictor, before, sites, t, settings.guidance)
    allowing = constraint([door.placement for door in doors])
    log_p = prediction.apart() if model.predictor.process.shows_tokens else prediction.posterior()
    allowed = allowing.allowed(state, sites)
    log_p = (log_p if allowed is None else log_p.masked_fill(~allowed, -torch.inf)).log_softmax(-1)
    restricted = allowing.joint(state, sites, log_p, None)
    return (log_p if restricted is None else restricted.log_p)[sites.live & (sites.index == place[:, None])]


def _with_token(door: Door, token: Tensor, logp: float) -> Canvas:
    canvas = door.base
    at = torch.zeros_like(canvas.pending)
    at[:, door.place] = True
    return canvas.replace(
        ids=torch.where(at, token, canvas.ids),
        pending=canvas.pending & ~at,
        commit_step=torch.where(at, canvas.step[:, None], canvas.commit_step),
        commit_logp=torch.where(at, logp, canvas.commit_logp),
    )


def _answers(
    model: Trained, guidance: Guidance | None, texts: Sequence[Sequence[Branch]], done: Canvas
) -> dict[Where, tuple[Alternative, ...]]:
    """The branches of every text completed and put in order."""
    found: dict[Where, dict[str, float]] = {}
    lengths, copies = [branches[0].canvas.ids.shape[1] for branches in texts], [len(branches) for branches in texts]
    for together in batches(lengths, copies):
        branches = [branch for number in together for branch in texts[number]]
        canvas = _completed(model, guidance, branches)
        for number, door in enumerate(branch.door for branch in branches):
            text, probability = door.placement.answer(canvas, number, door.hole)
            if text != door.placement.answer(done, door.row, door.hole)[0]:
                others = found.setdefault((door.row, door.hole), {})
                others[text] = max(probability, others.get(text, 0.0))
    return {
        where: tuple(Alternative(text, p) for text, p in sorted(others.items(), key=lambda item: -item[1]))
        for where, others in found.items()
    }


def _completed(model: Trained, guidance: Guidance | None, branches: Sequence[Branch]) -> Canvas:
    """Every branch with the rest decided by the most confident choices, one by one."""
    canvas = Canvas.concatenate([branch.canvas for branch in branches])
    if not canvas.pending.any():
        return canvas
    window = canvas.window_number.clamp(min=0)
    sizes = torch.zeros_like(canvas.steps).scatter_add(1, window, canvas.pending.to(canvas.steps))
    canvas = canvas.replace(steps=sizes, clock=torch.zeros_like(canvas.clock), step=torch.zeros_like(canvas.step))
    strategy = Settings.of("confidence", temperature=0.0).strategy
    allowing = constraint([branch.door.placement for branch in branches])
    return finished(denoise(model.predictor, canvas, Decoder(strategy, guidance=guidance, constraint=allowing)))
