"""Further answers for holes, by the same definition as the answer's.

At the step in which a hole was first written, its first position could have held another token (where nothing else
could stand, the next position). Each of the best others is put there, the rest is completed by the most confident
choices, and the probability is again the product over the hole's tokens in their order of commitment. Where noise has
no mask everything is decided in the last step together, so the token is exchanged and nothing else changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..decode.advance import times
from ..decode.canvas import Canvas
from ..decode.decoder import Decoder
from ..decode.loop import denoise, finished
from ..decode.passes import Sites, predict_at
from ..decode.strategies.strategy import Strategy
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
            for door, log_p in zip(doors, _distributions(model, settings.strategy, doors), strict=True):
                log_p[done.ids[door.row, door.place]] = -torch.inf
                values, tokens = log_p.topk(min(count, len(log_p)))
                for value, token in zip(values.tolist(), tokens, strict=True):
                    if value > -torch.inf:
                        texts[door.row // settings.samples].append(Branch(door, _with_token(door, token, value)))
    return _answers(model, [branches for branches in texts if branches], done)


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
        place, before = _first_written(trail, row, *placement.holes[hole])
        return cls(placement, row, hole, place, before, _open_branch(model, trail[-1], before, row))


@dataclass(frozen=True, eq=False)
class Branch:
    """A request with another token in one place, to be completed."""

    door: Door
    canvas: Canvas


def _first_written(trail: list[Canvas], row: int, begin: int, end: int) -> tuple[int, Canvas]:
    """The hole's first committed position, and the canvas before that step.

    Of several the most probable one. Positions whose token was the only possible one come last: nothing else could have
    stood there.
    """
    done = trail[-1]
    steps, logp = done.commit_step[row, begin:end], done.commit_logp[row, begin:end]
    open_ = logp < -CERTAIN
    open_ = open_ if bool(open_.any()) else torch.ones_like(open_)
    first = steps[open_].min()
    place = begin + int(logp.masked_fill(~(open_ & (steps == first)), -torch.inf).argmax())
    before = next(canvas for canvas in trail if canvas.step[row] == first)
    return place, before.select(torch.tensor([row]))


def _distributions(model: Trained, strategy: Strategy, doors: Sequence[Door]) -> Float[Tensor, "R V"]:
    """ln p of the tokens that may stand at a position of each `base`, as the model saw it `before`."""
    before = Canvas.concatenate([door.before for door in doors])
    base = Canvas.concatenate([door.base for door in doors])
    place = torch.tensor([door.place for door in doors], device=before.ids.device)
    here = torch.arange(before.ids.shape[1], device=place.device) == place[:, None]
    state = base.replace(pending=base.pending | here)
    sites = Sites.of(here | (state.pending & state.window))  # a type looks at all of them together
    t = times(before, strategy.step(model.predictor.process, before))
    prediction = predict_at(model.predictor, before, sites, t)
    allowing = constraint([door.placement for door in doors])
    log_p = prediction.apart() if model.predictor.process.shows_tokens else prediction.posterior()
    allowed = allowing.allowed(state, sites)
    log_p = (log_p if allowed is None else log_p.masked_fill(~allowed, -torch.inf)).log_softmax(-1)
    restricted = allowing.joint(state, sites, log_p, None)
    return (log_p if restricted is None else restricted.log_p)[sites.live & (sites.index == place[:, None])]


def _open_branch(model: Trained, done: Canvas, before: Canvas, row: int) -> Canvas:
    return before if model.predictor.process.mask is not None else done.select(torch.tensor([row]))


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


def _answers(model: Trained, texts: Sequence[Sequence[Branch]], done: Canvas) -> dict[Where, tuple[Alternative, ...]]:
    """The branches of every text completed and put in order."""
    found: dict[Where, dict[str, float]] = {}
    lengths, copies = [branches[0].canvas.ids.shape[1] for branches in texts], [len(branches) for branches in texts]
    for together in batches(lengths, copies):
        branches = [branch for number in together for branch in texts[number]]
        canvas = _completed(model, branches)
        for number, door in enumerate(branch.door for branch in branches):
            text, probability = door.placement.answer(canvas, number, door.hole)
            if text != door.placement.answer(done, door.row, door.hole)[0]:
                others = found.setdefault((door.row, door.hole), {})
                others[text] = max(probability, others.get(text, 0.0))
    return {
        where: tuple(Alternative(text, p) for text, p in sorted(others.items(), key=lambda item: -item[1]))
        for where, others in found.items()
    }


def _completed(model: Trained, branches: Sequence[Branch]) -> Canvas:
    """Every branch with the rest decided by the most confident choices."""
    canvas = Canvas.concatenate([branch.canvas for branch in branches])
    if not canvas.pending.any():
        return canvas
    strategy = Settings.of("confidence", temperature=0.0).strategy
    allowing = constraint([branch.door.placement for branch in branches])
    return finished(denoise(model.predictor, canvas, Decoder(strategy, constraint=allowing)))
