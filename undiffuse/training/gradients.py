"""The gradient of one global batch, however many parts it is computed in."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..objective.objective import Loss, Objective
from ..predictor import Predictor
from ..randomness import Draws
from ..types import Batch
from .sharding import local, norm


def backward(
    predictor: Predictor, objective: Objective, batch: Batch, draws: Draws, weights: Sequence[nn.Parameter], count: int
) -> list[Loss]:
    """Leaves in `.grad` the gradient of the summed loss of the whole batch, in nats; returns the loss of each part.

    Parts are added in float32: added in bfloat16, each would lose what the sum's last bits cannot hold.
    """
    losses, rows = [], len(batch.ids)
    sums = [torch.zeros_like(p, dtype=torch.float32) for p in weights] if count > 1 else []
    for start in range(0, rows, rows // count):
        dropping = replace(predictor, dropout=_generator(draws.stream("dropout").at(start)))
        loss = objective.loss(dropping, batch.rows(slice(start, start + rows // count)), draws, rows)
        loss.sum.backward()
        losses.append(loss)
        if count > 1:
            _move(weights, sums)
    for p, total in zip(weights, sums, strict=False):  # a single part leaves its gradient where it belongs
        p.grad = total.to(p.dtype)
    return losses


def _generator(draws: Draws) -> torch.Generator:
    """What is dropped is drawn in bulk, from a generator of the step and part alone: a resumed run repeats it."""
    return torch.Generator(draws.key.device).manual_seed(int(draws.key))


@torch.no_grad()
def _move(weights: Sequence[nn.Parameter], sums: Sequence[Tensor]) -> None:
    """Adds the gradients to the sums and clears them."""
    for p, total in zip(weights, sums, strict=True):
        if p.grad is not None:
            total += p.grad
            p.grad = None


@torch.no_grad()
def normalize(weights: Sequence[nn.Parameter], weight: Float[Tensor, ""], clip: float) -> Float[Tensor, ""]:
    """Divides the gradients by the weight of the batch, then shortens them to the norm `clip`; the norm before that."""
    grads = [p.grad for p in weights if p.grad is not None]
    weight = weight.clamp(min=1)  # a batch in which no token counts has no gradient
    length = norm(grads) / weight
    torch._foreach_mul_([local(g) for g in grads], (clip / length).clamp(max=1.0) / weight)
    return length
