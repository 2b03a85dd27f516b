"""Rotary positions at their own pace."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from .stretch import Stretch


@dataclass(frozen=True)
class Unstretched(Stretch):
    """Positions turn at their own pace."""

    @property
    def published(self) -> dict[str, Any] | None:
        return None

    def slowed(self, pace: Float[Tensor, " pairs"], base: float) -> Float[Tensor, " pairs"]:
        return pace
