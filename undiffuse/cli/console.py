"""The two streams: results go to stdout, everything else to stderr. NO_COLOR and pipes are respected by rich."""

import json
import sys

from rich.console import Console

from .visible import safe


def stdout() -> Console:
    return Console(file=sys.stdout, highlight=False)


def stderr() -> Console:
    return Console(file=sys.stderr, highlight=False)


def print_json(value: object) -> None:
    """One JSON document on stdout. Characters that the stream cannot hold are escaped; NaN is refused."""
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    print(json.dumps(value, indent=2, ensure_ascii=not unicode, allow_nan=False))


def print_text(text: str, end: str = "\n") -> None:
    """Text on stdout: exactly as it is into a pipe or file, with controls made visible on a terminal."""
    print(safe(text) if sys.stdout.isatty() else text, end=end)
