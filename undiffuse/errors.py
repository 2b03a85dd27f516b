"""The one error that a user is meant to read: what happened, where, and what to type instead."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake that the user can mend. The command line prints it and exits with code 2; a server answers 4xx.

    The message says what is wrong with the values at hand, where it was found, and the fix, in one or two lines.
    """


class NotFiniteError(UserError):
    """Predictions of a network that are no numbers: its files or its format are at fault, not what was asked."""


def not_finite(dtype: object) -> NotFiniteError:
    """Of a network whose predictions are no numbers; `dtype` is that of its weights."""
    number_format = str(dtype).removeprefix("torch.")
    fix = (
        "this format overflows: load it with --dtype bfloat16 or float32 (dtype=)"
        if number_format == "float16"
        else "its weights or its config are damaged: copy the model again, or train again"
    )
    return NotFiniteError(f"the predictions of the network are not finite in {number_format}; {fix}")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'confidence'?` when a known name is near, else the list of what exists."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known) or 'none'}"
