"""Norms and gates that follow the noise level."""

from dataclasses import dataclass

from ...errors import UserError
from ..conditioning import LastModulation, SigmaEmbedding
from ..layer import Norm, Residual
from .layer_kind import LayerKind


@dataclass(frozen=True)
class Adaptive(LayerKind):
    """x + gate · branch(norm(x) · (1 + scale) + shift), and a modulated last norm (DiT as SEDD and MDLM have it).

    Shift, scale and gate follow σ = −ln(1 − level) by way of a vector of `size` numbers. A network that is not told the
    level is used at σ = 0.
    """

    size: int = 128

    adds = False

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UserError(f"layer 'adaptive': size must be at least 1, not {self.size}")

    def condition(self, width: int, told: bool) -> int | None:
        return self.size

    def embedding(self, size: int) -> SigmaEmbedding:
        return SigmaEmbedding(size)

    def around(self, width: int, norm: Norm | None, condition: int | None) -> Residual:
        return Residual(width, norm, condition, gate=0.0)

    def last(self, width: int, condition: int | None) -> LastModulation | None:
        assert condition is not None
        return LastModulation(condition, width)
