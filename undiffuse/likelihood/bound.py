"""The diffusion bound on −ln p of a text, by repeated stratified draws."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..errors import UserError
from ..objective.times.equal_count import EqualCount
from ..objective.times.estimator import WHOLE, Estimator, element_draws
from ..objective.times.shared_offset import SharedOffset
from ..predictor import Predictor
from ..process.needs import meets
from ..randomness import Draws
from ..types import Batch
from .chain import chain
from .convention import Convention
from .early import Early
from .estimate import Estimate, Kind
from .windows import chunks

REPETITIONS = 8
PASSES = 2


def default_times(predictor: Predictor) -> Estimator:
    """Equal counts where they apply (masked noise, no time input): no variance from the number of masks.

    Else low noise levels more often, unless noise is visible from the start.
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
    draws: int = REPETITIONS * PASSES,
    precision: float | None = None,
    seed: int = 0,
    times: Estimator | None = None,
    convention: Convention | None = None,
) -> Estimate:
    """Estimate the bound of all windows of `text` with `draws` passes over it; exact for the autoregressive twin.

    The draws are split into independent repetitions, whose spread gives the standard error; within a repetition noise
    levels are spread evenly over all windows and passes; under block diffusion, over all blocks of them. In discrete
    time these are the steps but the first, which every repetition draws once more by itself. With `precision`,
    repetitions are added until the standard error is below that fraction of the mean (`draws` is then the least). A
    `convention` takes the place of the whole integral and its ends; what comes out is no bound.
    """
    tokens = int(text.editable.sum())
    if tokens == 0:
        raise UserError("there is nothing to score: the text has no token")
    if draws < 2:
        raise UserError(f"{draws} draw has no standard error; use at least 2 draws")
    if precision is not None and not 0 < precision < 1:
        raise UserError(f"precision must lie between 0 and 1, not {precision}; 0.01 asks for one percent")
    process = predictor.process
    whole = (process.first, 1.0), 1 - process.first
    clip, factor = whole if convention is None else convention.range(predictor)
    if predictor.traits.reads_previous:
        return chain(predictor, text)
    times = times or (default_times(predictor) if convention is None else SharedOffset())
    passes = max(1, draws // REPETITIONS)
    least = math.ceil(draws / passes)
    cells = times.cells(text, len(text.ids), predictor.traits.block_length)
    exact = not times.draws_times and int(cells.sizes(text).max()) == 1
    totals: list[float] = []
    ends: list[float] = []
    by_row: list[Tensor] = []
    per_token = torch.zeros(text.ids.shape, dtype=torch.float64, device=text.ids.device)
    key = Draws.seeded(seed, text.ids.device).stream("likelihood")
    for repetition in _repetitions():
        nats = factor * _repeat(predictor, text, times, passes, key.at(repetition), clip)
        totals.append(nats.sum().item())
        per_token += nats
        by_row.append(nats.sum(-1))
        if process.steps is not None:
            end = reconstruction(predictor, text, key.at(repetition).stream("reconstruction"))
            ends.append(end.sum().item())
            per_token += end
            by_row[-1] = by_row[-1] + end.sum(-1)
        drawn = [sum(terms) for terms in zip_longest(totals, ends, fillvalue=0.0)]
        if len(totals) >= least and (precision is None or exact or _precise(drawn, precision)):
            break
    kind: Kind = "exact" if exact else "bound" if convention is None else "estimate"
    prior = 0.0
    rest = torch.zeros(len(text.ids), dtype=torch.float64, device=text.ids.device)
    if convention is None:
        cost = process.prior_cost(text.ids[text.editable])
        prior = cost.sum().item()
        rest = rest.index_add(0, text.editable.nonzero()[:, 0], cost.double())
        if not ends:
            end = reconstruction(predictor, text, key.stream("reconstruction"))
            ends, rest = [end.sum().item()], rest + end.sum(-1)
    return Estimate(
        totals=torch.tensor(totals, dtype=torch.float64),
        prior=prior,
        reconstruction=sum(ends) / len(ends) if ends else 0.0,
        tokens=tokens,
        passes=passes,
        kind=kind,
        steps=process.steps,
        ends=torch.tensor(ends, dtype=torch.float64) if process.steps is not None else None,
        per_token=(per_token / len(totals))[text.editable],
        by_row=(torch.stack(by_row) + rest).cpu(),
    )


def _repetitions() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


def _precise(totals: list[float], precision: float) -> bool:
    values = torch.tensor(totals, dtype=torch.float64)
    return bool(values.std(unbiased=True) <= precision * values.mean() * math.sqrt(len(totals)))


@torch.no_grad()
def _repeat(
    predictor: Predictor, text: Batch, times: Estimator, passes: int, draws: Draws, clip: tuple[float, float] = WHOLE
) -> Float[Tensor, "B L"]:
    """One estimate of every token's contribution, averaged over `passes` jointly stratified passes."""
    process = predictor.process.evenly()
    predictor, span = replace(predictor, process=process), predictor.traits.block_length
    rows = len(text.ids)
    nats = torch.zeros(text.ids.shape, dtype=torch.float64, device=text.ids.device)
    for number in range(passes):
        for part in chunks(text):
            placed = part.at(slot=part.slot + number * rows, epoch=torch.full_like(part.epoch, number))
            noised = times.noise(process, placed, draws, passes * rows, span, clip)
            sites = process.informative(noised)
            prediction = predictor.predict_again(noised, placed, sites, _all(placed))
            value = torch.zeros_like(nats[part.slot])
            value[sites] = times.integrand(process, prediction, noised[sites]).double()
            nats[part.slot] += value / passes
    return nats


@torch.no_grad()
def reconstruction(predictor: Predictor, text: Batch, draws: Draws) -> Float[Tensor, "B L"]:
    """E −ln p(x | z) at the time `first`, from one draw: zero where that is t = 0 and α(0) = 1; nats per token."""
    process = predictor.process
    nats = torch.zeros(text.ids.shape, dtype=torch.float64, device=text.ids.device)
    if process.starts_clean:
        return nats
    for part in chunks(text):
        value = torch.zeros(part.ids.shape, dtype=torch.float64, device=part.ids.device)
        t = torch.full_like(value, process.first)
        noised = process.corrupt(part.ids, t, element_draws(part, draws), part.editable)
        sites = process.informative(noised)
        prediction = predictor.predict_again(noised, part, sites, _all(part))
        value[sites] = process.reconstruction(prediction, noised[sites]).double()
        nats[part.slot] = value
    return nats


def _all(batch: Batch) -> Bool[Tensor, " B"]:
    """Every row sees the network's own estimate, where the network takes one."""
    return torch.ones_like(batch.index, dtype=torch.bool)
