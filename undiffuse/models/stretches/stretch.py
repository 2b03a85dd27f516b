"""How fast rotary positions turn: at their own pace, or slower, for longer texts than a network first saw."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import UserError


@dataclass(frozen=True)
class Stretch(ABC):
    """Changes the angle per position of every pair of dimensions. Times and angles are float64."""

    @abstractmethod
    def slowed(self, pace: Float[Tensor, " pairs"], base: float) -> Float[Tensor, " pairs"]:
        """The pace of every pair, given its own: base^(−2i/d) radians a position for pair i."""

    @property
    @abstractmethod
    def published(self) -> dict[str, Any] | None:
        """What a config of transformers says of it under `rope_scaling`; None where nothing is scaled."""

    @property
    def temper(self) -> float:
        """What cosines and sines are multiplied by."""
        return 1.0


def check(kind: str, factor: float, first_context: int = 1) -> None:
    """UserError for numbers that stretch nothing."""
    if not 1 <= factor < math.inf:
        raise UserError(f"stretch {kind!r}: factor must be 1 or more, not {factor}")
    if first_context < 1:
        raise UserError(f"stretch {kind!r}: first_context must be at least 1, not {first_context}")


def turns(pace: Float[Tensor, " pairs"], context: int) -> Float[Tensor, " pairs"]:
    """How often each pair turns around within a context."""
    return context * pace / (2 * torch.pi)
