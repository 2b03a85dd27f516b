"""Rotary position embedding (RoFormer, Su et al. 2021, eq. 34): angles from absolute positions, never from buffers.

A dimension i of the first half of a head is paired with dimension i + d/2 (the GPT-NeoX layout).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Angles:
    """Cosines and sines for some positions, (B, 1, L, d/2): computed once per forward pass and shared by all layers."""

    cos: Float[Tensor, "B 1 L half"]
    sin: Float[Tensor, "B 1 L half"]

    @classmethod
    def at(cls, positions: Int[Tensor, "B L"], head_dim: int, base: float, dtype: torch.dtype) -> "Angles":
        """Angle of pair i at position p: p · base^(−2i/d); float64 until the end, so that far positions keep theirs."""
        pair = torch.arange(0, head_dim, 2, dtype=torch.float64, device=positions.device)
        angle = positions[:, None, :, None].double() * base ** (-pair / head_dim)
        return cls(angle.cos().to(dtype), angle.sin().to(dtype))


def rotate(x: Float[Tensor, "B H L d"], angles: Angles) -> Float[Tensor, "B H L d"]:
    """Turn every pair of dimensions by its position's angle; the result is contiguous, ready for a batched product."""
    rotated: Tensor = _Rotation.apply(x, angles.cos, angles.sin)
    return rotated


def _turn(x: Tensor, cos: Tensor, sin: Tensor, sign: float) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    left, right = out.chunk(2, dim=-1)
    torch.mul(first, cos, out=left).addcmul_(second, sin, value=-sign)
    torch.mul(second, cos, out=right).addcmul_(first, sin, value=sign)
    return out


class _Rotation(torch.autograd.Function):
    """Written by hand because autograd would keep four products per call; the backward turn is the inverse."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin, 1.0)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turn(grad, cos, sin, -1.0), None, None
