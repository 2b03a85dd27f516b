"""Attention rules: which keys a query may see, read from tags alone. One rule serves training and decoding."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ..types import Tags

Mask = Bool[Tensor, "B Lq Lk"]


def full(queries: Tags, keys: Tags) -> Mask | None:
    """Every live key of the query's own document; None where nothing restricts."""
    return _present(queries, keys)


def causal(queries: Tags, keys: Tags) -> Mask:
    """Live keys of the query's own document at its own position or before: the autoregressive twin."""
    past = keys.position[:, None, :] <= queries.position[:, :, None]
    return _both(past, _present(queries, keys))


def nearby(queries: Tags, keys: Tags, window: int, allowed: Mask | None) -> Mask:
    """Of the keys that a rule allows, those at most `window` positions away: a layer of local attention."""
    distance = queries.position[:, :, None] - keys.position[:, None, :]
    return _both(distance.abs() <= window, allowed)


def block_diffusion(queries: Tags, keys: Tags) -> Mask | None:
    """Bidirectional inside a block, causal between blocks (BD3-LM, Arriola et al. 2025, section 3).

    A clean row sees the clean rows of its own block and of those before; a noisy row sees the noisy rows of its own
    block and the clean rows before it. Rows without a `clean` tag are clean. Without a `span` there is one block.
    """
    present = _present(queries, keys)
    if queries.span is None:
        return present
    own, other = block_of(queries)[:, :, None], block_of(keys, queries)[:, None, :]
    asking, asked = _clean(queries)[:, :, None], _clean(keys)[:, None, :]
    return _both(torch.where(other == own, asking == asked, (other < own) & asked), present)


def canvas(queries: Tags, keys: Tags) -> Mask:
    """A text that is read from the left, and blocks that are denoised after it (DiffusionGemma).

    A clean row sees the clean rows at its own position and before. A noisy row sees the noisy rows of its own block and
    the clean rows before that block, which begins wherever the text before it ends: blocks are counted from `origin`.
    """
    asking, asked = _clean(queries)[:, :, None], _clean(keys)[:, None, :]
    before = keys.position[:, None, :]
    own, other = block_of(queries)[:, :, None], block_of(keys, queries)[:, None, :]
    clean = asked & (before <= queries.position[:, :, None])
    noisy = torch.where(asked, before < begin_of(queries)[:, :, None], own == other)
    return _both(torch.where(asking, clean, noisy), _present(queries, keys))


def block_of(tags: Tags, counted: Tags | None = None) -> Int[Tensor, "B L"]:
    """The number of the attention block of each row, in the blocks that `counted` has (None: its own)."""
    counted = tags if counted is None else counted
    assert counted.span is not None
    origin = 0 if counted.origin is None else counted.origin[:, None]
    return (tags.position - origin) // counted.span[:, None]


def begin_of(tags: Tags) -> Int[Tensor, "B L"]:
    """The first position of the attention block of each row."""
    assert tags.span is not None
    origin = 0 if tags.origin is None else tags.origin[:, None]
    return block_of(tags) * tags.span[:, None] + origin


def _clean(tags: Tags) -> Bool[Tensor, "B L"]:
    return torch.ones_like(tags.position, dtype=torch.bool) if tags.clean is None else tags.clean


def _present(queries: Tags, keys: Tags) -> Mask | None:
    """What every rule forbids: keys that do not exist, other documents, and shadows where they must not be seen."""
    mask = None
    if keys.live is not None:
        mask = keys.live[:, None, :].expand(-1, queries.position.shape[1], -1)
    if queries.document is not None and keys.document is not None:
        mask = _both(queries.document[:, :, None] == keys.document[:, None, :], mask)
    if queries.shadow is not None and keys.shadow is not None:
        asking, asked = queries.shadow[:, :, None], keys.shadow[:, None, :]
        same = queries.position[:, :, None] == keys.position[:, None, :]
        mask = _both(torch.where(asking, asked | ~same, ~asked), mask)
    return mask


def _both(one: Mask, other: Mask | None) -> Mask:
    return one if other is None else one & other
