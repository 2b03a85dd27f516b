"""Evaluations that a verb makes itself, beside its denoising: each is announced, so that others may go before it.

Lengths are searched, words are judged and likelihoods are estimated outside the loop, in passes whose shape only they
know. A generator that does so yields `Evaluate` before every pass and is resumed when it may go; `at_once` resumes it
without waiting. Nothing that it computes depends on when that is.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from jaxtyping import Shaped
from torch import Tensor

Result = TypeVar("Result")


@dataclass(frozen=True)
class Evaluate:
    """A pass that comes next, of about so many rows of the network."""

    rows: int

    @classmethod
    def of(cls, ids: Shaped[Tensor, "R L"]) -> "Evaluate":
        """A pass over whole texts, padding included."""
        return cls(max(ids.numel(), 1))


Evaluated = Generator[Evaluate, Any, Result]


def at_once(evaluations: Evaluated[Result]) -> Result:
    """What comes of them, nobody else going before."""
    while True:
        try:
            next(evaluations)
        except StopIteration as stop:
            return stop.value
