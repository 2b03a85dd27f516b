"""Position interpolation (Chen et al. 2023)."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from .stretch import Stretch, check


@dataclass(frozen=True)
class Linear(Stretch):
    """Every pair turns `factor` times slower (position interpolation)."""

    factor: float = 1.0

    def __post_init__(self) -> None:
        check("linear", self.factor)

    @property
    def published(self) -> dict[str, Any] | None:
        return {"rope_type": "linear", "factor": self.factor}

    def slowed(self, pace: Float[Tensor, " pairs"], base: float) -> Float[Tensor, " pairs"]:
        return pace / self.factor
