"""The network's logits over whole sequences of ids."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import UserError
from ..types import State, Tags
from .arguments import tensor
from .trained import Trained

Times: TypeAlias = float | Sequence[float] | Tensor
"""A number for all rows, or one for each, (B,)."""


@torch.no_grad()
def logits(
    model: Trained,
    ids: Int[Tensor, "B L"],
    valid: Bool[Tensor, "B L"] | None,
    t: Times | None,
    sigma: Times | None,
) -> Float[Tensor, "B L V"]:
    """See `LanguageModel.logits`.

    A network that reads which positions may change is told that masks may.
    """
    ids = tensor("ids", ids)
    process, rows = model.predictor.process, model.predictor.traits.vocab_rows
    if ids.ndim != 2 or ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool or not ids.numel():
        raise UserError(f"ids must be whole numbers (B, L), not {ids.dtype} {list(ids.shape)}")
    valid = torch.ones_like(ids, dtype=torch.bool) if valid is None else tensor("valid", valid)
    if valid.shape != ids.shape:
        raise UserError(f"valid {list(valid.shape)} must have the shape of ids, {list(ids.shape)}")
    ids, valid = ids.long().to(model.device), valid.bool().to(model.device)
    outside = ids[(ids < 0) | (ids >= rows)]
    if outside.numel():
        raise UserError(f"id {outside[0]} lies outside the table of {rows} rows")
    longest, traits = int(valid.sum(-1).max()), model.predictor.traits
    if traits.bounded and longest > traits.context:
        raise UserError(f"{longest} ids exceed the {traits.context} positions that this network has")
    masked = (ids == -1 if process.vocabulary.mask is None else ids == process.vocabulary.mask) & valid
    share = masked.sum(-1, keepdim=True).double() / valid.sum(-1, keepdim=True).clamp(min=1)
    inferred = torch.where(valid if traits.row_level else masked, share, 0.0)
    positions = (valid.long().cumsum(-1) - 1).clamp(min=0)
    tags = Tags(positions, live=valid)
    if traits.floating:
        assert traits.block_length is not None
        origin = (valid.sum(-1) - traits.block_length).clamp(min=0)
        tags = replace(tags, origin=origin, clean=positions < origin[:, None])
    given = model.predictor.rows(State(ids), inferred, tags, masked)
    if t is not None or sigma is not None:
        given = replace(given, level=_level(model, t, sigma, len(ids))[:, None].expand(ids.shape))
    return model.predictor.outputs(model.predictor.run(given))[0].float()


def _level(model: Trained, t: Times | None, sigma: Times | None, rows: int) -> Float[Tensor, " B"]:
    """The noise level at a time, or where a token is still itself with probability e^−σ. UserError for what is none."""
    process, traits = model.predictor.process, model.predictor.traits
    if t is not None and sigma is not None:
        raise UserError("t and sigma both say how noisy the text is: give one of them")
    if "level" not in traits.takes | traits.accepts:
        raise UserError("this network reads no time: leave out t and sigma")
    if sigma is None:
        return process.level(_each("t", t, rows, 1.0).to(model.device))
    if process.law is None:
        raise UserError("sigma is −ln α of noise that exchanges tokens, and this model's noise is on vectors: give t")
    return -torch.expm1(-_each("sigma", sigma, rows, float("inf")).to(model.device))


def _each(name: str, value: Times | None, rows: int, most: float) -> Float[Tensor, " B"]:
    """One number per row, float64."""
    found = tensor(name, value)
    if found.is_complex() or found.dtype == torch.bool or found.shape not in ((), (rows,)):
        raise UserError(f"{name} must be a number, or one for each of {rows} rows, not {list(found.shape)}")
    found = found.double().expand(rows)
    wrong = found[~((found >= 0) & (found <= most) & (found < float("inf")))]
    if wrong.numel():
        end = f"lie between 0 and {most:g}" if most < float("inf") else "be a finite number of at least 0"
        raise UserError(f"{name} must {end}, not {wrong[0]:g}")
    return found
