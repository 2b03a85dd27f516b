"""Rotary position embedding (RoFormer, Su et al. 2021, eq. 34): angles from absolute positions, never from buffers.

A dimension i of the first half of a head is paired with dimension i + d/2 (the GPT-NeoX layout).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .stretches.none import Unstretched
from .stretches.stretch import Stretch

UNSTRETCHED = Unstretched()


@dataclass(frozen=True, eq=False)
class Angles:
    """Cosines and signed sines of some positions, (B, 1, L, d): computed once per forward pass for all layers."""

    cos: Float[Tensor, "B 1 L d"]
    sin: Float[Tensor, "B 1 L d"]  # negative in the first half

    @classmethod
    def at(
        cls,
        positions: Int[Tensor, "B L"],
        turned: int,
        base: float,
        dtype: torch.dtype,
        stretch: Stretch = UNSTRETCHED,
    ) -> "Angles":
        """Angle of pair i at position p: p · base^(−2i/d), d the dimensions that are turned, or what a stretch makes.

        In float64 until the end, so that far positions keep theirs.
        """
        pair = torch.arange(0, turned, 2, dtype=torch.float64, device=positions.device)
        angle = positions[:, None, :, None].double() * stretch.slowed(base ** (-pair / turned), base)
        cos, sin = angle.cos() * stretch.temper, angle.sin() * stretch.temper
        return cls(torch.cat((cos, cos), dim=-1).to(dtype), torch.cat((-sin, sin), dim=-1).to(dtype))

    def on(self, device: torch.device) -> "Angles":
        """The same angles on a device."""
        return Angles(self.cos.to(device), self.sin.to(device))


def rotate(x: Float[Tensor, "B H L d"], angles: Angles) -> Float[Tensor, "B H L d"]:
    """Turn every pair of dimensions by its position's angle. Two passes over x: on a CPU they are what it costs.

    Angles of fewer dimensions turn the first of x, and the rest stay as they are.
    """
    turned = angles.cos.shape[-1]
    if turned < x.shape[-1]:
        return torch.cat((rotate(x[..., :turned], angles), x[..., turned:]), dim=-1)
    return torch.addcmul(x * angles.cos, x.roll(x.shape[-1] // 2, dims=-1), angles.sin)
