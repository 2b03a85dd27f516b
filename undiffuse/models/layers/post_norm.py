"""A norm after each sum."""

from dataclasses import dataclass

from ..layer import Norm, NormedSum
from .layer_kind import LayerKind


@dataclass(frozen=True)
class PostNorm(LayerKind):
    """norm(x + branch(x)), with biases throughout (the first transformer, BERT); it reads no noise level."""

    biases = True
    ends_normed = False
    adds = False

    def around(self, width: int, norm: Norm | None, condition: int | None) -> NormedSum:
        assert norm is not None
        return NormedSum(norm)
