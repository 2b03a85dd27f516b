"""A norm before each branch."""

from dataclasses import dataclass

from ..conditioning import NoiseEmbedding
from ..layer import Norm, Residual
from .layer_kind import LayerKind


@dataclass(frozen=True)
class PreNorm(LayerKind):
    """x + branch(norm(x)) (GPT-2 and its successors); a network that is told the noise level modulates it."""

    def condition(self, width: int, told: bool) -> int | None:
        return width if told else None

    def embedding(self, size: int) -> NoiseEmbedding:
        return NoiseEmbedding(size)

    def around(self, width: int, norm: Norm | None, condition: int | None) -> Residual:
        return Residual(width, norm, condition)
