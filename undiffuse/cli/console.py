"""The two streams: results go to stdout, everything else to stderr. NO_COLOR and pipes are respected by rich."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console

from ..figures import finite
from ..visible import safe

_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside, nothing is written to stderr: no progress, no remarks. An error ends the verb, and is told outside."""
    before = _QUIET.set(True)
    try:
        yield
    finally:
        _QUIET.reset(before)


def stdout() -> Console:
    return Console(file=sys.stdout, highlight=False)


def stderr() -> Console:
    hushed = _QUIET.get()
    return Console(file=sys.stderr, highlight=False, quiet=hushed, force_terminal=False if hushed else None)


def print_json(value: object, indent: int | None = 2) -> None:
    """One JSON document on stdout, in one line without an indent.

    Numbers that are not finite, which JSON lacks, become null.
    """
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(json.dumps(finite(value), indent=indent, ensure_ascii=not unicode, allow_nan=False))


def print_text(text: str, end: str = "\n") -> None:
    """Text on stdout: exactly as it is into a pipe or file, with controls made visible on a terminal."""
    print(safe(text) if sys.stdout.isatty() else text, end=end)
