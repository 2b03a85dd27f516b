"""Attention rules: which keys a query may see, read from tags alone. One rule serves training and decoding."""

import torch
from jaxtyping import Bool
from torch import Tensor

from ..types import Tags


def full(queries: Tags, keys: Tags) -> Bool[Tensor, "B Lq Lk"] | None:
    """Every live key of the query's own document; None where nothing restricts."""
    return _present(queries, keys)


def causal(queries: Tags, keys: Tags) -> Bool[Tensor, "B Lq Lk"]:
    """Live keys of the query's own document at its own position or before: the autoregressive twin."""
    past = keys.position[:, None, :] <= queries.position[:, :, None]
    present = _present(queries, keys)
    return past if present is None else past & present


def _present(queries: Tags, keys: Tags) -> Bool[Tensor, "B Lq Lk"] | None:
    mask = None
    if keys.live is not None:
        mask = keys.live[:, None, :].expand(-1, queries.position.shape[1], -1)
    if queries.document is not None and keys.document is not None:
        same = queries.document[:, :, None] == keys.document[:, None, :]
        mask = same if mask is None else torch.logical_and(mask, same)
    return mask
