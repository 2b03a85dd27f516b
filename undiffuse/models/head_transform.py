"""The layer that heads of masked language models begin with."""

from jaxtyping import Float
from torch import Tensor, nn

from .layer import Norm


class HeadTransform(nn.Module):
    """norm(gelu(W x)), W with a bias or without (BERT, Devlin et al. 2019)."""

    def __init__(self, width: int, norm: Norm, bias: bool) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width, bias=bias)
        self.norm = norm

    def forward(self, x: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead D"]:
        return self.norm(nn.functional.gelu(self.dense(x)))
