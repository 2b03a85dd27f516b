"""Bounds for the program of a stranger: every operation is weighed before it is carried out.

Time ends what takes long, and what one operation can make or compare is bounded, so that time is often looked at.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Undefined
from jinja2.sandbox import SecurityError

SECONDS = 5.0
STEPS = 200_000
CHARACTERS = 4_000_000
LARGEST = 10_000
"""Of a width, an indentation, a number of repetitions."""
BITS = 4096
"""Of a whole number."""
PARTS = 100_000
"""Of a value that is written or compared, those of its parts included."""


@dataclass
class Budget:
    """What one rendering may still use: text that it makes (characters), steps that it takes, and time."""

    characters: int = CHARACTERS
    steps: int = STEPS
    until: float = field(default_factory=lambda: time.monotonic() + SECONDS)

    def spend(self, characters: int) -> None:
        """One step that makes so much; SecurityError where it is too much."""
        self.characters -= characters
        self.steps -= 1
        if self.characters < 0:
            raise SecurityError("it makes too much text")
        if self.steps < 0 or time.monotonic() > self.until:
            raise SecurityError("it takes too long")


def weight(value: object) -> int:
    """Characters of a value as it would be written, about; SecurityError where it holds itself in too many places."""
    total, count, left = 0, 0, [value]
    while left:
        each = left.pop()
        count += 1
        if count > PARTS:
            raise SecurityError("a value is made of too many parts")
        total += 8
        if isinstance(each, str):
            total += len(each)
        elif isinstance(each, Mapping):
            left += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple):
            left += each
        elif not isinstance(each, int | float | Undefined | None):
            raise SecurityError(f"a {type(each).__name__} is no text")
    return total


def number(value: object) -> int:
    """A number that says how much is made; SecurityError where it says too much."""
    if isinstance(value, int) and abs(value) > LARGEST:
        raise SecurityError(f"a number here must be at most {LARGEST}")
    return abs(value) if isinstance(value, int) else 0


def made(text: str, name: str, args: tuple, kwargs: Mapping[str, Any]) -> int:
    """Characters that a method or filter makes of a text, at most."""
    if name == "replace" and len(args) > 1:
        old, new = str(args[0]), str(args[1])
        return len(text) + text.count(old) * len(new)
    if name == "join" and args:
        return sum(len(str(piece)) + len(text) for piece in args[0])
    if name == "indent":
        widths = [len(value) if isinstance(value, str) else number(value) for value in (*args, *kwargs.values())]
        return len(text) + (text.count("\n") + 1) * max(widths, default=4)
    return len(text)


def sized(left: Any, right: Any, operator: str) -> int:
    """What an operator makes, at most; SecurityError for what is too large."""
    whole = (str, list, tuple)
    if operator == "%" and isinstance(left, str):
        raise SecurityError("'%' on strings is not available")
    if operator == "+" and isinstance(left, whole) and isinstance(right, whole):
        return len(left) + len(right)
    if operator == "*" and isinstance(left, whole) and isinstance(right, int):
        return len(left) * max(right, 0)
    if operator == "*" and isinstance(right, whole) and isinstance(left, int):
        return len(right) * max(left, 0)
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() + right.bit_length()
        if operator == "**":
            bits = left.bit_length() * abs(right)
        if bits > 2 * BITS:
            raise SecurityError("a number is too large")
    return 0
