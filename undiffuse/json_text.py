"""JSON that strangers wrote: what Python's parser cannot hold is refused in words, as what is not JSON is."""

import json
from typing import Any

DIGITS = 4300
"""Digits of an integer, as many as Python reads by default: beyond, the time to read one is quadratic."""


def parsed(text: str) -> Any:
    """The value that a JSON text denotes; ValueError with what is wrong, and where."""
    try:
        return json.loads(text, parse_int=_integer)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text.rstrip("\n") else ""
        raise ValueError(f"not JSON ({error.msg} at {line}column {error.colno})") from error
    except RecursionError as error:
        raise ValueError("nested too deeply; write it flatter") from error


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits is too long; write at most {DIGITS}, or a string")
    return int(digits)
