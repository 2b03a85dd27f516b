"""Keyed randomness: every random number is a hash of what it is for.

A draw is keyed by (seed, stream, the request's or sample's own step, absolute position), one key per element, so a
row's randomness never depends on its batch-mates, on the number of processes, or on where a run was resumed. There
are no generator objects and nothing is global. The hash is the finalizer of SplitMix64 (Steele, Lea & Flood 2014)
applied once per folded integer; `uniform` uses its upper 53 bits.
"""

import hashlib
import operator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .errors import UserError


def _signed(x: int) -> int:
    return x - (1 << 64) if x >= 1 << 63 else x


GOLDEN = _signed(0x9E3779B97F4A7C15)
MIX1 = _signed(0xBF58476D1CE4E5B9)
MIX2 = _signed(0x94D049BB133111EB)


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift of int64 (torch shifts arithmetically)."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * MIX1
    x = (x ^ _shift(x, 27)) * MIX2
    return x ^ _shift(x, 31)


def check_seed(seed: object) -> int:
    """A seed of Python or numpy; UserError unless it has 64 bits: more would be cut without a word."""
    try:
        number = -1 if isinstance(seed, bool) else operator.index(seed)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        number = -1
    if not 0 <= number < 1 << 64:
        raise UserError(f"the seed must lie between 0 and {(1 << 64) - 1}, not {seed}")
    return number


@dataclass(frozen=True, eq=False)
class Draws:
    """One key per element of a tensor of any shape. Folding something in gives new, independent draws."""

    key: Int[Tensor, "*lead"]

    @classmethod
    def seeded(cls, seed: int, device: torch.device | str = "cpu") -> "Draws":
        """Scalar draws of a seed; fold in whatever the numbers are for."""
        key = torch.tensor(_signed(seed & ((1 << 64) - 1)), dtype=torch.int64, device=device)
        return cls(_mix(key + GOLDEN))

    def stream(self, name: str) -> "Draws":
        """Independent draws for another purpose, by name."""
        word = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)
        return Draws(_mix((self.key ^ word) + GOLDEN))

    def at(self, *indices: Int[Tensor, "..."] | int) -> "Draws":
        """Fold integers in, one after the other, broadcasting keys with indices."""
        key = self.key
        for index in indices:
            key = _mix((key + GOLDEN) ^ _mix(torch.as_tensor(index, dtype=torch.int64, device=key.device) + MIX1))
        return Draws(key)

    def along(self, size: int) -> "Draws":
        """Add a last axis of `size` independent draws."""
        return Draws(self.key[..., None]).at(torch.arange(size, device=self.key.device))

    def __getitem__(self, index: object) -> "Draws":
        return Draws(self.key[index])

    def gather(self, index: Int[Tensor, "R M"]) -> "Draws":
        """The keys at given places of the last axis."""
        return Draws(self.key.gather(-1, index))

    def uniform(self) -> Float[Tensor, "*lead"]:
        """float64 in the open interval (0, 1), one per key."""
        return ((_shift(_mix(self.key + GOLDEN), 11)).double() + 0.5) * 2.0**-53

    def integers(self, high: Int[Tensor, "..."] | int) -> Int[Tensor, "*lead"]:
        """Uniform on {0, …, high − 1}, one per key; high below 2³²."""
        return (self.uniform() * high).long().clamp_(max=torch.as_tensor(high, device=self.key.device) - 1)

    def order(self) -> Int[Tensor, "*lead"]:
        """A uniformly random permutation of the last axis, as ranks."""
        return _shift(_mix(self.key + GOLDEN), 1).argsort(dim=-1).argsort(dim=-1)


BLOCK = 64


def draw_categorical(probabilities: Float[Tensor, "*lead V"], draws: Draws) -> Int[Tensor, "*lead"]:
    """One token per row by inverse CDF, from a single uniform number.

    Two levels: sums of blocks of 64 tokens are accumulated in float64, then the tokens of the chosen block; so tails
    keep their mass at any vocabulary size, and the cost is one pass over the row. Rows need not be normalized; a token
    of probability zero is never drawn. `draws` has the rows' leading shape.
    """
    size = probabilities.shape[-1]
    whole = size - size % BLOCK
    sums = probabilities[..., :whole].unflatten(-1, (-1, BLOCK)).sum(-1)
    if whole < size:
        sums = torch.cat((sums, probabilities[..., whole:].sum(-1, keepdim=True)), dim=-1)
    block, rest = _locate(sums, draws.uniform()[..., None])
    index = block * BLOCK + torch.arange(BLOCK, device=block.device)
    chosen = probabilities.gather(-1, index.clamp(max=size - 1)).masked_fill(index >= size, 0.0)
    return block[..., 0] * BLOCK + _locate(chosen, rest)[0][..., 0]


def _locate(mass: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """Index whose share of the cumulated mass holds u, and where u lies within that share; both (*lead, 1)."""
    cdf = mass.cumsum(-1, dtype=torch.float64)
    total = cdf[..., -1:]
    # kept below the total, so that rounding cannot pass the last token of positive mass
    target = torch.minimum(u * total, torch.nextafter(total, torch.zeros_like(total)))
    index = torch.searchsorted(cdf, target, right=True)
    upper = cdf.gather(-1, index)
    width = mass.gather(-1, index).double()
    return index, ((target - (upper - width)) / width).clamp(0.0, 1.0)
