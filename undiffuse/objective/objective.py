"""What training minimizes. An objective owns its draws of time, its corruption and its forward passes."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from ..predictor import Predictor
from ..randomness import Draws
from ..types import Batch, HeadKind

BUCKETS = 10
"""Noise levels are reported in ten buckets of the corrupted share 1 − α."""


@dataclass(frozen=True, eq=False)
class Loss:
    """A sum in nats and what to divide it by, so that ranks and accumulation steps can be added before dividing.

    `weight` counts editable tokens (not corrupted ones: the bound is per token of text). `bucket_nats` and
    `bucket_tokens` split cross-entropy at the scored positions by noise level.
    """

    sum: Float[Tensor, ""]
    weight: Float[Tensor, ""]
    bucket_nats: Float[Tensor, " buckets"]
    bucket_tokens: Float[Tensor, " buckets"]


class Objective(ABC):
    """`head` is what minimizing it makes of the network's output; `is_bound` whether its mean bounds −ln p per token."""

    head: ClassVar[HeadKind]
    is_bound: ClassVar[bool]

    @abstractmethod
    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        """Loss of one micro-batch.

        `draws` are keyed by (run seed, step); `batch.index` and `batch.epoch` key what belongs to a sample. `rows` is
        the number of rows of the global batch, over which draws of time are spread; `batch.slot` says which of them
        these are.
        """
