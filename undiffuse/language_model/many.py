"""Many texts at once: texts of about one length share a batch, and an error says which text is at fault."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from ..errors import UserError
from .arguments import many

TOKENS_AT_ONCE = 4096
"""Positions of a batch, padding included."""

Text = TypeVar("Text")
Ready = TypeVar("Ready")


def listed(texts: str | Iterable[str]) -> list[str]:
    """One text or several as a list; UserError for what is no text."""
    found = [texts] if isinstance(texts, str) else many("several texts", texts)
    for number, text in enumerate(found):
        with naming(number, len(found)):
            if not isinstance(text, str):
                raise UserError(f"a text must be a string, not {text!r}")
    return found


def batches(lengths: Sequence[int], copies: Sequence[int]) -> list[list[int]]:
    """The numbers of texts that go together, the longest first: `copies` rows each, at most `TOKENS_AT_ONCE` positions.

    A text whose rows are more than that goes alone.
    """
    found: list[list[int]] = []
    rows = longest = 0
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        rows += copies[number]
        if not found or rows * longest > TOKENS_AT_ONCE:
            found.append([])
            rows, longest = copies[number], lengths[number]
        found[-1].append(number)
    return found


def in_batches(items: Sequence[Text], length: int) -> Iterator[Sequence[Text]]:
    """As many of what takes a row of this length each as go together."""
    size = max(1, TOKENS_AT_ONCE // length)
    for first in range(0, len(items), size):
        yield items[first : first + size]


def each(texts: Sequence[Text], prepare: Callable[[Text], Ready]) -> list[Ready]:
    """What becomes of every text; a UserError names the text."""
    found = []
    for number, text in enumerate(texts):
        with naming(number, len(texts)):
            found.append(prepare(text))
    return found


@contextmanager
def naming(number: int, count: int) -> Iterator[None]:
    """Errors in here are about one of `count` texts."""
    try:
        yield
    except UserError as error:
        if count == 1:
            raise
        raise UserError(f"text {number + 1} of {count}: {error}") from error
