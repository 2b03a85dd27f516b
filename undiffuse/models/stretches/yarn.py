"""YaRN (Peng et al. 2023): what turns fast keeps its pace, what turns slowly is slowed, and attention is sharpened."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import UserError
from .stretch import Stretch, check


@dataclass(frozen=True)
class Yarn(Stretch):
    """Pairs that turn `fast` times within `first_context`, or more, keep their pace; `slow` times, 1/`factor` of it.

    Between these two pairs, rounded outwards, it is a mixture, linear in the number of the pair. Products of queries
    and keys are multiplied by `sharpness`² (0: (0.1 ln factor + 1)²).
    """

    factor: float = 4.0
    first_context: int = 32768
    fast: float = 32.0
    slow: float = 1.0
    sharpness: float = 0.0

    def __post_init__(self) -> None:
        check("yarn", self.factor, self.first_context)
        if not 0 < self.slow < self.fast:
            raise UserError(f"stretch 'yarn' needs 0 < slow < fast, not slow {self.slow} and fast {self.fast}")
        if self.sharpness < 0:
            raise UserError(f"stretch 'yarn': sharpness must not be negative, not {self.sharpness}")

    @property
    def temper(self) -> float:
        return self.sharpness or 0.1 * math.log(self.factor) + 1

    @property
    def published(self) -> dict[str, Any] | None:
        return {
            "rope_type": "yarn",
            "factor": self.factor,
            "original_max_position_embeddings": self.first_context,
            "beta_fast": self.fast,
            "beta_slow": self.slow,
            "attention_factor": self.sharpness or None,
        }

    def slowed(self, pace: Float[Tensor, " pairs"], base: float) -> Float[Tensor, " pairs"]:
        pairs = len(pace)

        def pair(turns: float) -> float:
            """The pair that turns so often, as if pairs were continuous."""
            return pairs * math.log(self.first_context / (turns * 2 * math.pi)) / math.log(base)

        first = max(math.floor(pair(self.fast)), 0)
        last = min(math.ceil(pair(self.slow)), 2 * pairs - 1)
        number = torch.arange(pairs, dtype=pace.dtype, device=pace.device)
        slow = ((number - first) / max(last - first, 1e-3)).clamp(0, 1)
        return pace * (1 - slow + slow / self.factor)
