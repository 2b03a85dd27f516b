"""Between steps a request may be ended as it is, or have tokens taken back."""

from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from ..errors import UserError
from ..predictor import Predictor
from .batch import Batch, Group
from .canvas import CANCELLED, UNDECIDED, Canvas
from .request import Abort, Remask


def asked(predictor: Predictor, before: Canvas, batch: Batch) -> tuple[Batch, Bool[Tensor, "R L"]]:
    """The batch after those who are asked between steps have spoken, and what they took back."""
    went = (batch.canvas.step > before.step).tolist()
    taken_back = torch.zeros_like(batch.canvas.pending)
    for row in batch.seats.asked:
        ask = batch.seats.each[row].between
        if ask is None or not went[row]:
            continue
        verdict = ask(batch.canvas.select(torch.tensor([row], device=taken_back.device)))
        if isinstance(verdict, Abort):
            batch = batch.abort([row])
        elif verdict is not None:
            taken_back[row] = _positions(batch.canvas, row, verdict)
    return (remasked(predictor, batch, taken_back) if bool(taken_back.any()) else batch), taken_back


def _positions(canvas: Canvas, row: int, verdict: Remask) -> Bool[Tensor, " L"]:
    """The decided positions of a verdict."""
    which = torch.zeros_like(canvas.pending[row])
    length = int(canvas.valid[row].sum())
    for position in verdict.positions:
        if not 0 <= position < length or not bool(canvas.editable[row, position]):
            raise UserError(
                f"position {position} of a text of {length} cannot be noise again: only positions that a request may "
                "write can be taken back"
            )
        which[position] = True
    return which & ~canvas.pending[row]


def remasked(predictor: Predictor, batch: Batch, where: Bool[Tensor, "R L"]) -> Batch:
    """The batch with decided positions pending again, and with them what an end of text had cancelled.

    Requests that thereby return to an earlier window begin there anew, with noise at all that is pending.
    """
    process, before = predictor.process, batch.canvas
    again = where.any(-1)
    cancelled = again[:, None] & (before.commit_step == CANCELLED)
    where = where | cancelled
    canvas = before.replace(
        pending=before.pending | where,
        editable=before.editable | cancelled,
        valid=before.valid | cancelled,
        commit_step=before.commit_step.masked_fill(where, UNDECIDED),
    )
    back = again & (before.done | (canvas.current != before.current))
    fresh = where | canvas.pending & back[:, None]
    canvas = canvas.replace(clock=canvas.clock.masked_fill(back, 0), begins=canvas.begins.masked_fill(back, 1.0))
    batch = batch.replace(canvas)
    noise = batch.spread([group.how.strategy.noise(process, batch.of(group)) for group in batch.groups])
    batch = batch.replace(canvas.replace(ids=torch.where(fresh, noise, canvas.ids)))
    groups = tuple(_renewed(predictor, batch, group, fresh) for group in batch.groups)
    most_steps = batch.spread([group.how.strategy.most_steps(batch.of(group)) for group in groups])
    most_steps = torch.where(again, canvas.step + most_steps, batch.most_steps)
    host = again.cpu()
    for lane in batch.lanes:
        if lane.kept is not None:
            lane.kept.reset(host[batch.passes(lane.rows) % len(batch)].to(where.device))
    return replace(batch, groups=groups, most_steps=most_steps)


def _renewed(predictor: Predictor, batch: Batch, group: Group, fresh: Bool[Tensor, "R L"]) -> Group:
    """The group with what its strategy remembers of some positions as at the beginning."""
    if not group.memory:
        return group
    where = fresh[batch.part(group.rows)]
    begun = group.how.strategy.begin(predictor.process, batch.of(group))
    memory = {}
    for name, value in group.memory.items():
        here = where.any(-1) if value.ndim == 1 else where.view(*where.shape, *[1] * (value.ndim - 2))
        memory[name] = torch.where(here, begun[name], value)
    return replace(group, memory=memory)
