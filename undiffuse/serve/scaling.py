"""How many replicas there should be, by the work that lies ahead of each.

Requests differ a thousandfold in work, so their number says little. The engine of a replica knows the rows of the
network that its requests still need, as estimated, and how many it takes a second; one by the other is how long
whoever comes now would wait at most.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UserError

AHEAD = 20.0
"""Seconds of estimated work that a replica should have ahead of it, about. The estimate counts all rows at every step,
so strategies that decide several tokens at once, and caches, take a part of it."""


@dataclass(frozen=True)
class Replicas:
    """How many, at least and at most."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"

    @classmethod
    def of(cls, text: str) -> "Replicas":
        """`2`, or `1-4`. UserError for anything else."""
        first, dash, last = text.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UserError(f"--replicas {text} is no number: write 2, or 1-4 for as many as the work needs")
        least, most = int(first), int(last or first)
        if not 1 <= least <= most:
            raise UserError(f"--replicas {text} must be 1 or more, and end no lower than it begins: 2, or 1-4")
        return cls(least, most)


def wanted(seconds_ahead: Sequence[float], running: int) -> int:
    """Replicas for so many seconds of work ahead of each of those that have reported; all keep what they run."""
    if not seconds_ahead:
        return running
    return max(1, math.ceil(sum(seconds_ahead) / AHEAD))
