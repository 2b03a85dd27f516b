"""Llama 3.1's positions (Grattafiori et al. 2024): what turns fast keeps its pace, what turns slowly is slowed."""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ...errors import UserError
from .stretch import Stretch, check, turns


@dataclass(frozen=True)
class Llama3(Stretch):
    """By the turns n of a pair within `first_context`: its pace for n ≥ `high`, 1/`factor` of it for n ≤ `low`.

    Between them it is a mixture, linear in n.
    """

    factor: float = 8.0
    low: float = 1.0
    high: float = 4.0
    first_context: int = 8192

    def __post_init__(self) -> None:
        check("llama3", self.factor, self.first_context)
        if not 0 < self.low < self.high:
            raise UserError(f"stretch 'llama3' needs 0 < low < high, not low {self.low} and high {self.high}")

    @property
    def published(self) -> dict[str, Any] | None:
        return {
            "rope_type": "llama3",
            "factor": self.factor,
            "low_freq_factor": self.low,
            "high_freq_factor": self.high,
            "original_max_position_embeddings": self.first_context,
        }

    def slowed(self, pace: Float[Tensor, " pairs"], base: float) -> Float[Tensor, " pairs"]:
        kept = ((turns(pace, self.first_context) - self.low) / (self.high - self.low)).clamp(0, 1)
        return pace * (kept + (1 - kept) / self.factor)
