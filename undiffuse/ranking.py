"""An order of scores that does not depend on rounding: the lowest position first among near-equal ones.

What a network says of a text moves in its last digits with what is computed beside it (other sizes of matrices, other
orders of summation), so scores that are equal by symmetry, as those of an empty text are, come out in any order. Sorted
scores are one level as long as each is within a tolerance of the one before: no grid, on whose lines they could part.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

NEAR = 1e-5
"""Nats of log-odds or of entropy, or probability: above float32's rounding of logits, below what decides anything."""


def ordered(score: Float[Tensor, "R M"], near: float = NEAR) -> Int[Tensor, "R M"]:
    """Indices of the scores, the highest first. With `near` 0 only equal ones are equal, for draws."""
    order = score.argsort(dim=-1, descending=True, stable=True)
    if not near:
        return order
    falling = score.gather(1, order)
    level = F.pad((falling[:, :-1] - falling[:, 1:] > near).cumsum(-1), (1, 0))  # −∞ − −∞ is one level too
    return torch.empty_like(order).scatter_(1, order, level).argsort(dim=-1, stable=True)


def ranked(score: Float[Tensor, "R M"], near: float = NEAR) -> Int[Tensor, "R M"]:
    """The rank of every score, 0 for the highest."""
    order = ordered(score, near)
    return torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
    )
