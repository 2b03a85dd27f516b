"""How surprising counts of draws are under the distribution that they should follow."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def surprise(found: Int[Tensor, " n"], expected: Float[Tensor, " N"]) -> float:
    """−log₁₀ of the p-value of Pearson's χ² test; infinite after a draw of probability zero.

    Correct draws exceed 6 once in a million times. Categories must be expected at least five times or so each.
    """
    counts = torch.bincount(found, minlength=len(expected)).double()
    possible = expected > 0
    if counts[~possible].any():
        return torch.inf
    mean = expected[possible] * len(found)
    chi2 = ((counts[possible] - mean) ** 2 / mean).sum()
    degrees = possible.sum().double() - 1
    if degrees == 0:
        return 0.0
    tail = torch.special.gammaincc(degrees / 2, chi2 / 2)
    return -tail.clamp(min=1e-300).log10().item()
