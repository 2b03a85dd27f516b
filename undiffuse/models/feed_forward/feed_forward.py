"""What the feed-forward layer of a block is: a kind of layer, and the activations that all kinds share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

Activation = Literal["gelu", "gelu-tanh", "relu2", "swiglu", "geglu"]
GATED: tuple[Activation, ...] = ("swiglu", "geglu")


class RowLayer(nn.Module, ABC):
    """Works on every row alone, whichever rows are given: caches run some of them."""

    @property
    @abstractmethod
    def matrices(self) -> list[tuple[nn.Parameter, tuple[int, ...]]]:
        """Matrices, each with the heights of the maps stacked in it."""

    @abstractmethod
    def initialize(self, std: float) -> None:
        """Inner matrices of this standard deviation; the output is zero."""

    @abstractmethod
    def forward(self, x: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead D"]: ...


@dataclass(frozen=True)
class FeedForward(ABC):
    """A kind of layer with its settings."""

    @abstractmethod
    def build(self, width: int, hidden: int, activation: Activation) -> RowLayer:
        """The layer; `hidden` is its inner width (of one expert where there are several)."""


def gates(activation: Activation) -> int:
    """How many times the inner width the first matrix has: twice where one half gates the other."""
    return 2 if activation in GATED else 1


def activated(inner: Float[Tensor, "*lead E"], activation: Activation) -> Float[Tensor, "*lead F"]:
    """The nonlinearity between the two matrices."""
    match activation:
        case "gelu":
            return F.gelu(inner)
        case "gelu-tanh":
            return F.gelu(inner, approximate="tanh")
        case "relu2":
            return SquaredReLU.apply(inner)
        case "swiglu":
            gate, value = inner.chunk(2, dim=-1)
            return F.silu(gate) * value
        case "geglu":
            gate, value = inner.chunk(2, dim=-1)
            return F.gelu(gate) * value


class SquaredReLU(torch.autograd.Function):
    """max(x, 0)² (So et al. 2021). Autograd's own two steps take three times as long on a CPU."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        rectified = x.relu()
        ctx.save_for_backward(rectified)
        return rectified * rectified

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> Tensor:
        (rectified,) = ctx.saved_tensors
        return (grad * rectified).mul_(2)
