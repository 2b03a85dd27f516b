"""The diffusion bound on −ln p of a text, by repeated stratified draws."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..decode.evaluation import Evaluate, Evaluated, at_once
from ..errors import UserError
from ..objective.times.equal_count import EqualCount
from ..objective.times.estimator import WHOLE, Estimator, element_draws
from ..objective.times.shared_offset import SharedOffset
from ..predictor import Predictor
from ..process.needs import meets
from ..process.prediction import Prediction
from ..randomness import Draws
from ..types import Batch, Noised
from .chain import chain
from .convention import Convention
from .early import Early
from .estimate import LEVELS, Estimate
from .windows import chunks

REPETITIONS = 8
DRAWS = 16
MOST_DRAWS = 100_000


def default_times(predictor: Predictor) -> Estimator:
    """Equal counts where they apply (masked noise, no time input): no variance from the number of masks.

    Else low levels of noise between tokens more often.
    """
    process = predictor.process
    timeless = "level" not in predictor.traits.takes and predictor.head != "score"
    if timeless and meets(EqualCount.needs, process):
        return EqualCount()
    return Early() if meets(Early.needs, process) else SharedOffset()


def bound(
    predictor: Predictor,
    text: Batch,
    *,
    draws: int | None = None,
    precision: float | None = None,
    seed: int = 0,
    times: Estimator | None = None,
    convention: Convention | None = None,
) -> Estimate:
    """Estimate the bound of all windows of `text` with `draws` passes over it; exact for causal networks.

    The draws are split into independent repetitions, whose spread gives the standard error; within a repetition noise
    levels are spread evenly over all windows and passes; under block diffusion, over all blocks of them. Of few
    repetitions each is split into independent parts of the text. In discrete time the levels are the steps but the
    first. Where noise does not begin at the text itself, every pass also draws what the text is read from (the
    reconstruction; in discrete time the first step). Without a number there are 16 draws, or as many as give a short
    text the noise levels that a standard error asks for. With `precision`, repetitions are added until the standard
    error is below that fraction of the mean (`draws` is then the least). A `convention` takes the place of the whole
    integral and its ends; what comes out is no bound.
    """
    evaluations = bounded(
        predictor, text, draws=draws, precision=precision, seed=seed, times=times, convention=convention
    )
    return at_once(evaluations)


def bounded(
    predictor: Predictor,
    text: Batch,
    *,
    draws: int | None,
    precision: float | None,
    seed: int,
    times: Estimator | None = None,
    convention: Convention | None = None,
) -> Evaluated[Estimate]:
    """`bound`, its passes announced."""
    tokens = int(text.editable.sum())
    if tokens == 0:
        raise UserError("there is nothing to score: the text has no token")
    if draws is not None and draws < 2:
        raise UserError(f"{draws} draw has no standard error; use at least 2 draws")
    if draws is not None and draws > MOST_DRAWS:
        raise UserError(f"{draws} draws are too many: use at most {MOST_DRAWS}, or ask for a precision")
    if precision is not None and not 0 < precision < 1:
        raise UserError(f"precision must lie between 0 and 1, not {precision}; 0.01 asks for one percent")
    if predictor.traits.floating:  # blocks are counted from what is scored
        first = text.editable.long().argmax(-1, keepdim=True)
        text = text.at(positions=text.positions - text.positions.gather(1, first))
    process = predictor.process
    whole = (process.first, 1.0), 1 - process.first
    clip, factor = whole if convention is None else convention.range(predictor)
    if predictor.traits.one_sided:
        return (yield from chain(predictor, text))
    times = times or (default_times(predictor) if convention is None else SharedOffset())
    sizes = times.cells(text, len(text.ids), predictor.traits.block_length).sizes(text)
    levels = (sizes > 0).sum(-1).cpu()
    draws = draws or max(DRAWS, math.ceil(LEVELS / int(levels.sum())))
    passes = max(1, draws // REPETITIONS)
    least = math.ceil(draws / passes)
    parts = _parts(len(text.ids), least).to(text.ids.device)
    exact = not times.draws_times and int(sizes.max()) == 1
    reconstructs = convention is None and not process.starts_clean
    diffusion: list[Tensor] = []
    ends: list[Tensor] = []
    per_token = torch.zeros(text.ids.shape, dtype=torch.float64, device=text.ids.device)
    prior = torch.zeros_like(per_token)
    if convention is None:
        prior[text.editable] = process.prior_cost(text.ids[text.editable]).double()
    key = Draws.seeded(seed, text.ids.device).stream("likelihood")
    while True:
        draw = key.at(len(diffusion))
        repeated = yield from _repeat(predictor, text, times, passes, parts, draw, clip)
        found = [factor * repeated]
        if reconstructs:
            own = draw.stream("reconstruction")
            found.append((yield from reconstruction(predictor, text, passes, own)))
        per_token += sum(found)
        by_row = [nats.sum(-1).cpu() for nats in found]
        diffusion.append(by_row[0])
        ends.append(by_row[1] if reconstructs else torch.zeros_like(by_row[0]))
        if len(diffusion) < least:
            continue
        estimate = Estimate(
            diffusion=torch.stack(diffusion),
            ends=torch.stack(ends),
            prior_by_row=prior.sum(-1).cpu(),
            parts=parts.cpu(),
            levels=levels,
            tokens=tokens,
            passes=passes,
            kind="exact" if exact else "bound" if convention is None else "estimate",
            steps=process.steps,
            per_token=(per_token / len(diffusion) + prior)[text.editable],
        )
        if precision is None or not estimate.stderr > precision * estimate.nats:  # NaN ends it too
            return estimate


def _parts(rows: int, repetitions: int) -> Int[Tensor, " B"]:
    """The part of each window: as many parts as leave the standard error the degrees of freedom of 8 repetitions."""
    count = min(rows, math.ceil((REPETITIONS - 1) / (repetitions - 1)))
    return torch.arange(rows) * count // rows


def _repeat(
    predictor: Predictor,
    text: Batch,
    times: Estimator,
    passes: int,
    parts: Int[Tensor, " B"],
    draws: Draws,
    clip: tuple[float, float] = WHOLE,
) -> Evaluated[Float[Tensor, "B L"]]:
    """One estimate of every token's contribution, averaged over passes that are stratified jointly within a part."""
    process = predictor.process.evenly()
    predictor, span = replace(predictor, process=process), predictor.traits.block_length
    sizes = parts.bincount()
    found = []
    for number, rows in enumerate(parts.argsort(stable=True).split(sizes.tolist())):
        own = draws if len(sizes) == 1 else draws.stream("part").at(number)
        part = text.rows(rows).at(slot=torch.arange(len(rows), device=rows.device))
        noise = partial(times.noise, process, draws=own, rows=passes * len(rows), span=span, clip=clip)
        found.append((yield from _mean(predictor, part, passes, noise, partial(times.integrand, process))))
    return torch.cat(found)


def reconstruction(predictor: Predictor, text: Batch, passes: int, draws: Draws) -> Evaluated[Float[Tensor, "B L"]]:
    """E −ln p(x | z) at the time `first`, from `passes` draws; nats per token."""
    process = predictor.process

    def drawn(part: Batch) -> Noised:
        t = torch.full(part.ids.shape, process.first, dtype=torch.float64, device=part.ids.device)
        return process.corrupt(part.ids, t, element_draws(part, draws), part.editable)

    return (yield from _mean(predictor, text, passes, drawn, process.reconstruction))


@torch.no_grad()
def _mean(
    predictor: Predictor,
    text: Batch,
    passes: int,
    drawn: Callable[[Batch], Noised],
    value: Callable[[Prediction, Noised], Float[Tensor, " n"]],
) -> Evaluated[Float[Tensor, "B L"]]:
    """The mean of a value over passes, each with noise of its own; 0 where the process has nothing to tell."""
    nats = torch.zeros(text.ids.shape, dtype=torch.float64, device=text.ids.device)
    for number in range(passes):
        for part in chunks(text):
            placed = part.at(slot=part.slot + number * len(text.ids), epoch=torch.full_like(part.epoch, number))
            noised = drawn(placed)
            sites = predictor.process.informative(noised)
            found = torch.zeros_like(nats[part.slot])
            yield Evaluate.of(placed.ids)
            prediction = predictor.predict_again(noised, placed, sites, _all(placed))
            found[sites] = value(prediction, noised[sites]).double()
            nats[part.slot] += found / passes
    return nats


def _all(batch: Batch) -> Bool[Tensor, " B"]:
    """Every row sees the network's own estimate, where the network takes one."""
    return torch.ones_like(batch.index, dtype=torch.bool)
