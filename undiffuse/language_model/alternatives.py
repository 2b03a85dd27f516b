"""Further answers for holes, by the same definition as the answer's.

At the step in which a hole was first written, its first position could have held another token (where nothing else
could stand, the next position). Each of the best others is put there, the rest is completed by the most confident
choices, and the probability is again the product over the hole's tokens in their order of commitment. Where noise has
no mask everything is decided in the last step together, so the token is exchanged and nothing else changes.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from ..decode.canvas import Canvas
from ..decode.decoder import Decoder
from ..decode.look import Sites, look
from ..decode.loop import denoise, finished, times
from ..decode.strategies.strategy import Strategy
from .plan import Plan
from .results import Alternative
from .settings import Settings
from .trained import Trained

Where = tuple[int, int]  # request, hole
CERTAIN = 1e-6  # nats


@torch.no_grad()
def alternatives(
    model: Trained, plan: Plan, strategy: Strategy, trail: list[Canvas], count: int
) -> dict[Where, tuple[Alternative, ...]]:
    """Up to `count` other answers per request and hole, most probable first; `trail` holds the canvas at every step."""
    done = trail[-1]
    branches: list[Canvas] = []
    origin: list[Where] = []
    for row in range(len(done.ids)):
        for hole, (begin, end) in enumerate(plan.holes):
            place, before = _first_written(trail, row, begin, end)
            base = _open_branch(model, done, before, row)
            log_p = _distribution(model, plan, strategy, before, base, place)
            log_p[done.ids[row, place]] = -torch.inf
            values, tokens = log_p.topk(min(count, len(log_p)))
            for value, token in zip(values.tolist(), tokens, strict=True):
                if value > -torch.inf:
                    branches.append(_with_token(base, place, token, value))
                    origin.append((row, hole))
    return _answers(model, plan, branches, origin, done)


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
    return place, trail[int(first)].select(torch.tensor([row]))


def _distribution(
    model: Trained, plan: Plan, strategy: Strategy, before: Canvas, base: Canvas, place: int
) -> Float[Tensor, " V"]:
    """ln p of the tokens that may stand at a position of `base`, as the model saw it `before`."""
    here = torch.zeros_like(before.pending)
    here[:, place] = True
    state = base.replace(pending=base.pending | here)
    sites = Sites.of(here | (state.pending & state.window))  # a type looks at all of them together
    prediction = look(model.predictor, before, sites, times(before, strategy.step(model.predictor.process, before)))
    log_p, constraint = prediction.posterior(), plan.constraint(1)
    allowed = constraint.allowed(state, sites)
    log_p = (log_p if allowed is None else log_p.masked_fill(~allowed, -torch.inf)).log_softmax(-1)
    restricted = constraint.joint(state, sites, log_p, None)
    return (log_p if restricted is None else restricted.log_p)[sites.index == place][0]


def _open_branch(model: Trained, done: Canvas, before: Canvas, row: int) -> Canvas:
    return before if model.predictor.process.mask is not None else done.select(torch.tensor([row]))


def _with_token(canvas: Canvas, place: int, token: Tensor, logp: float) -> Canvas:
    at = torch.zeros_like(canvas.pending)
    at[:, place] = True
    return canvas.replace(
        ids=torch.where(at, token, canvas.ids),
        pending=canvas.pending & ~at,
        commit_step=torch.where(at, canvas.step[:, None], canvas.commit_step),
        commit_logp=torch.where(at, logp, canvas.commit_logp),
    )


def _answers(
    model: Trained, plan: Plan, branches: list[Canvas], origin: list[Where], done: Canvas
) -> dict[Where, tuple[Alternative, ...]]:
    if not branches:
        return {}
    canvas = Canvas.concatenate(branches)
    if canvas.pending.any():
        strategy = Settings.of("confidence", temperature=0.0).strategy
        canvas = finished(
            denoise(model.predictor, canvas, Decoder(strategy, constraint=plan.constraint(len(branches))))
        )
    found: dict[Where, dict[str, float]] = {}
    for number, (row, hole) in enumerate(origin):
        text, probability = plan.answer(canvas, number, hole)
        if text != plan.answer(done, row, hole)[0]:
            others = found.setdefault((row, hole), {})
            others[text] = max(probability, others.get(text, 0.0))
    return {
        where: tuple(Alternative(text, p) for text, p in sorted(others.items(), key=lambda item: -item[1]))
        for where, others in found.items()
    }
