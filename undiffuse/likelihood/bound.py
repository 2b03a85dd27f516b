"""The diffusion bound on −ln p of a text, by repeated stratified draws."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count

import torch
from jaxtyping import Bool, Float
from torch import Tensor

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
from .estimate import Estimate
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
    time these are the steps but the first. Where noise does not begin at the text itself, every pass also draws what
    the text is read from (the reconstruction; in discrete time the first step). With `precision`, repetitions are added
    until the standard error is below that fraction of the mean (`draws` is then the least). A
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
    reconstructs = convention is None and not process.starts_clean
    diffusion: list[Tensor] = []
    ends: list[Tensor] = []
    per_token = torch.zeros(text.ids.shape, dtype=torch.float64, device=text.ids.device)
    prior = torch.zeros_like(per_token)
    if convention is None:
        prior[text.editable] = process.prior_cost(text.ids[text.editable]).double()
    prior_by_row = prior.sum(-1).cpu()
    key = Draws.seeded(seed, text.ids.device).stream("likelihood")
    for repetition in count():
        found = [factor * _repeat(predictor, text, times, passes, key.at(repetition), clip)]
        if reconstructs:
            found.append(_reconstruct(predictor, text, passes, key.at(repetition).stream("reconstruction")))
        per_token += sum(found)
        by_row = [nats.sum(-1).cpu() for nats in found]
        diffusion.append(by_row[0])
        ends.append(by_row[1] if reconstructs else torch.zeros_like(by_row[0]))
        totals = [(one + end + prior_by_row).sum().item() for one, end in zip(diffusion, ends, strict=True)]
        if len(totals) >= least and (precision is None or exact or _precise(totals, precision)):
            break
    per_token /= len(diffusion)
    return Estimate(
        diffusion=torch.stack(diffusion),
        ends=torch.stack(ends),
        prior_by_row=prior_by_row,
        tokens=tokens,
        passes=passes,
        kind="exact" if exact else "bound" if convention is None else "estimate",
        steps=process.steps,
        per_token=(per_token + prior)[text.editable],
    )


def _precise(totals: list[float], precision: float) -> bool:
    values = torch.tensor(totals, dtype=torch.float64)
    return bool(values.std(unbiased=True) <= precision * values.mean() * math.sqrt(len(totals)))


def _repeat(
    predictor: Predictor, text: Batch, times: Estimator, passes: int, draws: Draws, clip: tuple[float, float] = WHOLE
) -> Float[Tensor, "B L"]:
    """One estimate of every token's contribution, averaged over `passes` jointly stratified passes."""
    process = predictor.process.evenly()
    predictor, span = replace(predictor, process=process), predictor.traits.block_length
    rows = passes * len(text.ids)

    def drawn(part: Batch) -> Noised:
        return times.noise(process, part, draws, rows, span, clip)

    return _mean(predictor, text, passes, drawn, partial(times.integrand, process))


def _reconstruct(predictor: Predictor, text: Batch, passes: int, draws: Draws) -> Float[Tensor, "B L"]:
    """E −ln p(x | z) at the time `first`, from `passes` draws; nats per token."""
    process = predictor.process

    def drawn(part: Batch) -> Noised:
        t = torch.full(part.ids.shape, process.first, dtype=torch.float64, device=part.ids.device)
        return process.corrupt(part.ids, t, element_draws(part, draws), part.editable)

    return _mean(predictor, text, passes, drawn, process.reconstruction)


@torch.no_grad()
def _mean(
    predictor: Predictor,
    text: Batch,
    passes: int,
    drawn: Callable[[Batch], Noised],
    value: Callable[[Prediction, Noised], Float[Tensor, " n"]],
) -> Float[Tensor, "B L"]:
    """The mean of a value over passes, each with noise of its own; 0 where the process has nothing to tell."""
    nats = torch.zeros(text.ids.shape, dtype=torch.float64, device=text.ids.device)
    for number in range(passes):
        for part in chunks(text):
            placed = part.at(slot=part.slot + number * len(text.ids), epoch=torch.full_like(part.epoch, number))
            noised = drawn(placed)
            sites = predictor.process.informative(noised)
            found = torch.zeros_like(nats[part.slot])
            prediction = predictor.predict_again(noised, placed, sites, _all(placed))
            found[sites] = value(prediction, noised[sites]).double()
            nats[part.slot] += found / passes
    return nats


def _all(batch: Batch) -> Bool[Tensor, " B"]:
    """Every row sees the network's own estimate, where the network takes one."""
    return torch.ones_like(batch.index, dtype=torch.bool)
