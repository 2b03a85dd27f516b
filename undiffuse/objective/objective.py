"""What training minimizes. An objective owns its draws of time, its corruption and its forward passes."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..errors import UserError
from ..predictor import Predictor
from ..process.needs import Need, moves_vectors, require
from ..randomness import Draws
from ..types import Batch, HeadKind, Noised

BUCKETS = 10
"""Noise levels are reported in ten equal buckets of t."""


@dataclass(frozen=True, eq=False)
class Loss:
    """A sum in nats and what to divide it by, so that ranks and accumulation steps can be added before dividing.

    For a bound `weight` counts editable tokens (not corrupted ones: the bound is per token of text). A token with a
    weight of its own has its nats multiplied by it and counts as much as its size. `bucket_nats` and `bucket_tokens`
    split sum and weight by noise level.
    """

    sum: Float[Tensor, ""]
    weight: Float[Tensor, ""]
    bucket_nats: Float[Tensor, " buckets"]
    bucket_tokens: Float[Tensor, " buckets"]


VECTORS = (
    Need(moves_vectors, 'this objective is for noise on vectors: set process.kind="gaussian" and model.latent=16'),
)


class Objective(ABC):
    """`head` is what minimizing it makes of the network's output; `is_bound` if its mean bounds −ln p per token.

    `search_passes` is how often `tuned` runs a text through the network (0: it has nothing to choose).
    """

    head: ClassVar[HeadKind]
    is_bound: ClassVar[bool]
    search_passes: ClassVar[int] = 0
    needs: ClassVar[tuple[Need, ...]] = ()  # what it asks of a process; most accept every one

    def check(self, predictor: Predictor) -> None:
        """Raise UserError when this objective has no meaning for the process or network."""
        if predictor.head != self.head:
            raise UserError(f"this objective trains a {self.head} head, and the model is labelled {predictor.head}")
        require(self.needs, predictor.process)

    @abstractmethod
    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        """Loss of one micro-batch.

        `draws` are keyed by (run seed, step); `batch.index` and `batch.epoch` key what belongs to a sample. `rows` is
        the number of rows of the global batch, over which draws of time are spread; `batch.slot` says which of them
        these are.
        """

    def at(self, progress: float) -> "Objective":
        """What is minimized in a step, by the share of the training that lies before it; 1 in an extension of a run."""
        return self

    def tuned(self, predictor: Predictor, text: Batch, draws: Draws) -> "Objective":
        """The objective with what it chooses by its losses on held-out text; called at every validation of a run."""
        return self


def summed(
    nats: Float[Tensor, " M"], sites: Bool[Tensor, "B L"], noised: Noised, counted: Bool[Tensor, "B L"], batch: Batch
) -> Loss:
    """Add up the nats of the scored sites, as the batch weighs them; `counted` says which tokens make up the weight."""
    bucket = (noised.t * BUCKETS).long().clamp(max=BUCKETS - 1)
    zeros = torch.zeros(BUCKETS, dtype=torch.float64, device=nats.device)
    if batch.weight is not None:
        nats = nats * batch.weight.expand_as(sites)[sites].to(nats.dtype)
    return Loss(
        sum=nats.sum(),
        weight=count(counted, batch).sum().to(nats.dtype),
        bucket_nats=zeros.index_add(0, bucket[sites], nats.detach().double()),
        bucket_tokens=zeros.index_add(0, bucket[counted], count(counted, batch)[counted].double()),
    )


def count(tokens: Bool[Tensor, "B L"], batch: Batch) -> Float[Tensor, "B L"] | Bool[Tensor, "B L"]:
    """How much each of some tokens counts: once, or by the size of its weight."""
    return tokens if batch.weight is None else tokens * batch.weight.abs()
