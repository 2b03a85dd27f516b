"""Arguments of the Python API: numbers of any library are taken, everything else is refused by its name."""

import operator
from collections.abc import Iterable

from ..errors import UserError


def whole(name: str, value: object, least: int = 1) -> int:
    """A whole number of at least `least`, of Python, numpy or torch; UserError for anything else."""
    shown = name.replace("_", " ")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{shown} must be at least {least}, not {value}") from error
    if isinstance(value, bool) or number < least:
        raise UserError(f"{shown} must be at least {least}, not {value}")
    return number


def ids(name: str, values: object) -> tuple[int, ...]:
    """Rows of a table as a list, an array or a tensor of whole numbers gives them."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise UserError(f"{name} must be a list of whole numbers, not {values!r}")
    return tuple(whole(f"an id of {name}", value, 0) for value in values)
