"""The network's logits over whole sequences of ids."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import UserError
from ..types import State, Tags
from .arguments import tensor
from .trained import Trained


@torch.no_grad()
def logits(model: Trained, ids: Int[Tensor, "B L"], valid: Bool[Tensor, "B L"] | None) -> Float[Tensor, "B L V"]:
    """See `LanguageModel.logits`.

    A network that reads the noise level is told the share of masks of each row, one that reads which positions may
    change is told that masks may.
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
    masked = (ids == -1 if process.vocabulary.mask is None else ids == process.vocabulary.mask) & valid
    share = masked.sum(-1, keepdim=True).double() / valid.sum(-1, keepdim=True).clamp(min=1)
    t = torch.where(masked, share, 0.0)
    positions = (valid.long().cumsum(-1) - 1).clamp(min=0)
    hidden = model.predictor.run(model.predictor.rows(State(ids), t, Tags(positions, live=valid), masked))
    return model.predictor.outputs(hidden)[0].float()
