"""What the network says to every group of a batch, from one forward pass per lane and one of the head."""

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..predictor import Predictor
from ..process.prediction import Prediction
from .batch import FEEDBACK, Batch
from .canvas import Canvas
from .guidance.guidance import Guidance
from .passes import Latents, Sites, predict_at, read, run


def observe(
    predictor: Predictor, batch: Batch, sites: Sites, t: Float[Tensor, "R L"], sizes: Int[Tensor, " R"]
) -> tuple[list[Prediction], Canvas]:
    """A prediction for each group at its requests' sites, and the canvas with what that cost.

    `sizes`, how many sites each request has, are known on the host: one without any stays out of the passes.
    """
    canvas = batch.canvas
    shown, times, request = _copied(predictor, batch, t)
    everywhere, view = sites, _view(batch)
    if request is not None:
        everywhere, view = sites.select(request), None if view is None else view.select(request)
    running = sizes > 0
    hidden, counts = _hidden(predictor, batch, shown, everywhere, times, running, view)
    prediction = read(predictor, shown, everywhere, times, hidden, view)
    if batch.banned is not None:
        prediction = _without(prediction, batch.banned if request is None else batch.banned[request])
    if request is not None:
        counts = torch.zeros_like(canvas.rows).index_add(0, request, counts)
    predictions = [_of_group(predictor, batch, number, prediction, sites, t) for number in range(len(batch.groups))]
    spent = running.to(canvas.nfe)
    return predictions, canvas.replace(nfe=canvas.nfe + spent, rows=canvas.rows + counts)


def guided_at(
    predictor: Predictor, canvas: Canvas, sites: Sites, t: Float[Tensor, "R L"], guidance: Guidance | None
) -> Prediction:
    """A guided prediction at the sites from one forward pass over all copies of the whole canvas."""
    if guidance is None:
        return predict_at(predictor, canvas, sites, t)
    rows = torch.arange(len(canvas.ids), device=t.device)
    seen, times = guidance.expand(predictor, canvas, t)
    prediction = predict_at(predictor, seen, sites.select(rows.repeat(guidance.copies)), times)
    parts = tuple(_part(prediction, rows + copy * len(rows)) for copy in range(guidance.copies))
    return guidance.guide(predictor, canvas, sites, t, parts)


def _copied(
    predictor: Predictor, batch: Batch, t: Float[Tensor, "R L"]
) -> tuple[Canvas, Tensor, Int[Tensor, " E"] | None]:
    """The canvas and times of all that goes through the network (`Batch.passes`), and which request each row is of.

    None says that every request goes through once.
    """
    canvas = batch.canvas
    if len(batch.everyone) == len(batch):
        return canvas, t, None
    request = (batch.everyone % len(batch)).to(t.device)
    if len(batch.groups) == 1 and batch.groups[0].how.guidance is not None:
        return *batch.groups[0].how.guidance.expand(predictor, canvas, t), request
    canvases, ts, order = [canvas], [t], [torch.arange(len(batch))]
    for group in batch.groups:
        if group.how.guidance is not None and group.how.copies > 1:
            seen, at = group.how.guidance.expand(predictor, batch.of(group), t[batch.part(group.rows)])
            more = slice(len(group.rows), None)
            canvases.append(seen.select(more))
            ts.append(at[more])
            order += [group.rows + copy * len(batch) for copy in range(1, group.how.copies)]
    # groups give their copies one after the other
    place = torch.cat(order).argsort().to(t.device)
    return Canvas.concatenate(canvases).select(place), torch.cat(ts)[place], request


def _view(batch: Batch) -> Latents | None:
    """What the network is shown besides tokens: nothing, or something of every request."""
    if not batch.groups[0].how.strategy.moves_vectors:
        told = [group.memory[FEEDBACK] for group in batch.groups if FEEDBACK in group.memory]
        return Latents(feedback=batch.spread(told)) if told else None
    views = [group.how.strategy.latents(batch.of(group), group.memory) for group in batch.groups]
    found = [view for view in views if view is not None]
    feedback = [view.feedback for view in found if view.feedback is not None]
    latent = [view.latent for view in found if view.latent is not None]
    return Latents(batch.spread(latent), batch.spread(feedback) if feedback else None)


def _hidden(
    predictor: Predictor,
    batch: Batch,
    canvas: Canvas,
    sites: Sites,
    t: Float[Tensor, "E L"],
    running: Tensor,
    view: Latents | None,
) -> tuple[Float[Tensor, "E M D"], Int[Tensor, " E"]]:
    """Hidden states at the sites of all copies, and the rows that each took: one call of the network per lane."""
    size = len(canvas.ids)
    hidden, counts = None, torch.zeros_like(canvas.rows)
    for lane in batch.lanes:
        if not bool(running[lane.rows].any()):
            continue
        passes = batch.passes(lane.rows)
        runs = running[passes % len(batch)].to(t.device)
        part = batch.part(torch.searchsorted(batch.everyone, passes), size)
        whole = part == slice(None)
        seen, at = (canvas, sites) if whole else (canvas.select(part), sites.select(part))
        shown = view if view is None or whole else view.select(part)
        rows = lane.cache.recompute(seen, lane.kept) & runs[:, None]
        shadowed = ~at.gather(seen.pending) if lane.shadows else None
        found, cost = run(predictor, seen, at, t[part], rows, lane.kept, shadowed, shown)
        if whole:
            return found, cost
        hidden = found.new_zeros(size, *found.shape[1:]) if hidden is None else hidden
        hidden[part], counts[part] = found, cost
    assert hidden is not None
    return hidden, counts


def _without(prediction: Prediction, banned: Int[Tensor, "E n"]) -> Prediction:
    """The same with the banned tokens of every row excluded (−1: none)."""
    logits = prediction.logits
    index = banned.clamp(min=0)[:, None].expand(-1, logits.shape[1], -1)
    kept = logits.gather(-1, index).masked_fill((banned >= 0)[:, None], -torch.inf)
    return replace(prediction, logits=logits.scatter(-1, index, kept))


def _of_group(
    predictor: Predictor, batch: Batch, number: int, prediction: Prediction, sites: Sites, t: Float[Tensor, "R L"]
) -> Prediction:
    """What a group is told: the part of its rows, guided where it asks for that."""
    group, guidance = batch.groups[number], batch.groups[number].how.guidance
    size = len(prediction.logits)
    places = [
        batch.part(torch.searchsorted(batch.everyone, group.rows + copy * len(batch)), size)
        for copy in range(group.how.copies)
    ]
    parts = tuple(_part(prediction, place) for place in places)
    if guidance is None:
        return parts[0]
    part = batch.part(group.rows)
    return guidance.guide(predictor, batch.of(group), sites.select(part), t[part], parts)


def _part(prediction: Prediction, part: slice | Tensor) -> Prediction:
    if part == slice(None):
        return prediction
    vectors = None if prediction.vectors is None else prediction.vectors[part]
    return Prediction(prediction.logits[part], prediction.kind, lambda: prediction.evidence()[part], vectors=vectors)
