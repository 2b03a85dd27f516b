"""Conditioning on the noise level, per position."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

FREQUENCIES = 32
SIGMA_FREQUENCIES = 128


class NoiseEmbedding(nn.Module):
    """One vector per noise level in [0, 1]: sines and cosines of π·2^(i/4)·level, then two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(2 * FREQUENCIES, width)
        self.second = nn.Linear(width, width)

    def forward(self, level: Float[Tensor, "B L"]) -> Float[Tensor, "B L C"]:
        octave = torch.arange(FREQUENCIES, dtype=torch.float64, device=level.device) / 4
        angle = level[..., None].double() * math.pi * 2.0**octave
        features = torch.cat((angle.sin(), angle.cos()), dim=-1).to(self.first.weight.dtype)
        return F.silu(self.second(F.silu(self.first(features))))


class SigmaEmbedding(nn.Module):
    """One vector per σ = −ln(1 − level): cosines and sines of 10^(−4 i/128)·σ, then two layers (MDLM, SEDD)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.first = nn.Linear(2 * SIGMA_FREQUENCIES, size)
        self.second = nn.Linear(size, size)

    def forward(self, level: Float[Tensor, "B L"]) -> Float[Tensor, "B L C"]:
        exponent = torch.arange(SIGMA_FREQUENCIES, dtype=torch.float64, device=level.device) / SIGMA_FREQUENCIES
        sigma = -torch.log1p(-level.double().clamp(max=1 - 2.0**-52))
        angle = sigma[..., None] * 1e4**-exponent
        features = torch.cat((angle.cos(), angle.sin()), dim=-1).to(self.first.weight.dtype)
        return F.silu(self.second(F.silu(self.first(features))))


class Modulation(nn.Module):
    """Shift, scale and gate of a residual branch (DiT, Peebles & Xie 2023); scale starts at 1, the gate at `gate`."""

    def __init__(self, condition: int, width: int, gate: float = 1.0) -> None:
        super().__init__()
        self.gate = gate
        self.linear = nn.Linear(condition, 3 * width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(
        self, condition: Float[Tensor, "B L C"]
    ) -> tuple[Float[Tensor, "B L D"], Float[Tensor, "B L D"], Float[Tensor, "B L D"]]:
        shift, scale, gate = self.linear(condition).chunk(3, dim=-1)
        return shift, 1 + scale, self.gate + gate


class LastModulation(nn.Module):
    """Shift and scale of what the head reads."""

    def __init__(self, condition: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(condition, 2 * width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Float[Tensor, "B L D"], condition: Float[Tensor, "B L C"]) -> Float[Tensor, "B L D"]:
        shift, scale = self.linear(condition).chunk(2, dim=-1)
        return x * (1 + scale) + shift
