"""Powers of a transition matrix: Q(ρ) = exp(−ln ρ (B − I)) for every ρ, by its spectrum or by sums (see `matrix`)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

Times = Float[Tensor, "..."]
KEPT = 2**27
"""Numbers that are kept of matrices computed once (1 GiB): those of a thousand steps of bytes."""
FORGETS = 128
"""Squarings of exp(B − I) that stand for infinitely many moves."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """B = V diag(λ) V⁻¹, as V, V⁻¹ and the exponents 1 − λ; float64."""

    vectors: Float[Tensor, "N N"]
    inverse: Float[Tensor, "N N"]
    exponents: Float[Tensor, " N"]

    def powers(self, rho: Times) -> Float[Tensor, "... N"]:
        """ρ^{1 − λ}."""
        return rho[..., None] ** self.exponents.to(rho.device)

    def carried(self, mass: Float[Tensor, "*lead N"], rho: Times) -> Float[Tensor, "*lead N"]:
        """mass · Q(ρ): what becomes of a distribution."""
        moved = mass @ self.vectors.to(mass.device) * self.powers(rho) @ self.inverse.to(mass.device)
        return moved.clamp(min=0.0)

    def out_of(self, x: Int[Tensor, "*lead"], rho: Times) -> Float[Tensor, "*lead N"]:
        """Q(ρ)[x, y] for every y."""
        left = self.vectors.to(x.device)[x] * self.powers(rho)
        return (left @ self.inverse.to(x.device)).clamp(min=0.0)

    def into(self, z: Int[Tensor, "*lead"], rho: Times) -> Float[Tensor, "*lead N"]:
        """Q(ρ)[y, z] for every y."""
        left = self.inverse.to(z.device).T[z] * self.powers(rho)
        return (left @ self.vectors.to(z.device).T).clamp(min=0.0)


def exponential(move: Float[Tensor, "N N"], rho: float) -> Float[Tensor, "N N"]:
    """Q(ρ) = exp(−ln ρ (B − I)) of a stochastic B, for ρ in [0, 1]; every entry to a relative precision of 1e-13."""
    sigma = -math.log(rho) if rho > 0 else 2.0**FORGETS
    squarings = max(0, math.ceil(math.log2(sigma))) if sigma > 0 else 0
    term = total = torch.eye(len(move), dtype=torch.float64)
    for n in range(1, 20):
        term = term @ move * (sigma / 2**squarings / n)
        total = total + term
    total = total / total.sum(-1, keepdim=True)
    for _ in range(squarings):
        total = total @ total
        total = total / total.sum(-1, keepdim=True)
    return total


@dataclass(frozen=True, eq=False)
class Exponentials:
    """What `Spectrum` does, for any B: a matrix per ρ, kept once computed. Positions are grouped by their ρ."""

    move: Float[Tensor, "N N"]
    _kept: dict[tuple[float, torch.device], Tensor] = field(default_factory=dict)

    def at(self, rho: float, device: torch.device) -> Float[Tensor, "N N"]:
        """Q(ρ)."""
        found = self._kept.get((rho, device))
        if found is None:
            if len(self._kept) >= KEPT // self.move.numel():
                self._kept.clear()
            found = self._kept[rho, device] = exponential(self.move, rho).to(device)
        return found

    def carried(self, mass: Float[Tensor, "*lead N"], rho: Times) -> Float[Tensor, "*lead N"]:
        """mass · Q(ρ)."""
        flat = mass.reshape(-1, mass.shape[-1])
        return self._grouped(rho.expand(mass.shape[:-1]), lambda matrix, here: flat[here] @ matrix)

    def out_of(self, x: Int[Tensor, "*lead"], rho: Times) -> Float[Tensor, "*lead N"]:
        """Q(ρ)[x, y] for every y."""
        return self._grouped(rho.expand(x.shape), lambda matrix, here: matrix[x.flatten()[here]])

    def into(self, z: Int[Tensor, "*lead"], rho: Times) -> Float[Tensor, "*lead N"]:
        """Q(ρ)[y, z] for every y."""
        return self._grouped(rho.expand(z.shape), lambda matrix, here: matrix.T[z.flatten()[here]])

    def _grouped(
        self, rho: Float[Tensor, "*lead"], rows: Callable[[Tensor, Tensor], Tensor]
    ) -> Float[Tensor, "*lead N"]:
        """`rows` of the positions of each ρ, put back in their order."""
        values, group = rho.flatten().unique(return_inverse=True)
        order = group.argsort(stable=True)
        parts = order.split(group.bincount(minlength=len(values)).tolist())
        found = [rows(self.at(value, rho.device), here) for value, here in zip(values.tolist(), parts, strict=True)]
        none = torch.zeros(0, len(self.move), dtype=torch.float64, device=rho.device)
        return torch.cat([none, *found])[order.argsort()].view(*rho.shape, len(self.move))


def powers_of(move: Float[Tensor, "N N"]) -> Spectrum | Exponentials:
    """By the spectrum if B is symmetric, else by sums."""
    if not torch.equal(move, move.T):
        return Exponentials(move)
    values, vectors = torch.linalg.eigh(move)
    exponents = (1 - values).where(1 - values > 1e-12, 0.0)  # the largest eigenvalue is 1, and 0⁰ = 1
    return Spectrum(vectors, vectors.T.contiguous(), exponents)
