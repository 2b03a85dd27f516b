"""Arguments of the Python API: numbers of any library are taken, everything else is refused by its name."""

import numbers
import operator
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import UserError

MOST = (1 << 53) - 1
"""Beyond what any count is, and what floats and tensors count exactly."""


def whole(name: str, value: object, least: int = 1) -> int:
    """A whole number of at least `least`, of Python, numpy or torch; UserError for anything else."""
    shown = name.replace("_", " ")
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError) as error:
        found = repr(value) if isinstance(value, str) else value
        raise UserError(f"{shown} must be at least {least}, not {found}") from error
    if isinstance(value, bool) or number < least:
        raise UserError(f"{shown} must be at least {least}, not {value}")
    if number > MOST:
        raise UserError(f"{shown} must be at most {MOST}, not {number}")
    return number


def real(name: str, value: Any) -> float:
    """A real number of Python, numpy or torch; what it may be is for those who use it. UserError for anything else."""
    item = value.item if getattr(value, "ndim", None) == 0 else None  # numpy's, and tensors of one number
    plain = item() if item is not None else value
    if isinstance(plain, bool) or not isinstance(plain, numbers.Real):
        raise UserError(f"{name.replace('_', ' ')} must be a number, not {value!r}")
    try:
        return float(plain)
    except OverflowError:
        raise UserError(f"{name.replace('_', ' ')} must be a number that a float holds") from None


def plain(name: str, hint: Any, value: Any) -> Any:
    """An option as the component that declares it with this type computes with it."""
    if hint is float:
        return real(name, value)
    if hint in (int, int | None):
        try:
            return operator.index(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"{name.replace('_', ' ')} must be a whole number, not {value!r}") from error
    if hint is str and not isinstance(value, str):
        raise UserError(f"{name.replace('_', ' ')} must be a string, not {value!r}")
    return value


def string(name: str, value: Any) -> str:
    """A string; UserError for anything else."""
    if not isinstance(value, str):
        raise UserError(f"{name} must be a string, not {value!r}")
    return value


def flag(name: str, value: Any) -> bool:
    """True or False; UserError for anything else."""
    if not isinstance(value, bool | np.bool_):
        raise UserError(f"{name} must be True or False, not {value!r}")
    return bool(value)


def path(name: str, value: Any) -> Path:
    """What can be the name of a file; UserError for anything else."""
    if not isinstance(value, str | Path):
        raise UserError(f"{name} must be a path, as a string or a Path, not {value!r}")
    try:
        held = os.fsencode(value)
    except UnicodeEncodeError:
        held = b"\0"
    if b"\0" in held:
        raise UserError(f"{name} must be a path, and no file can be called {str(value)!r}")
    return Path(value)


def names(name: str, values: Any) -> tuple[str, ...]:
    """Several strings; UserError for anything else, a single string included."""
    if isinstance(values, str | bytes):
        raise UserError(f"{name} must be a list of strings, not {values!r}")
    return tuple(string(f"one of {name}", value) for value in many(name, values))


def function(name: str, value: Any) -> Any:
    """What can be called; UserError for anything else."""
    if not callable(value):
        raise UserError(f"{name} must be a function, not {value!r}")
    return value


def tensor(name: str, values: object) -> Tensor:
    """What torch makes a tensor of; UserError for anything else."""
    try:
        return torch.as_tensor(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{name} must be a tensor, or lists of numbers of one length: {error}") from error


def many(name: str, values: Any) -> list[Any]:
    """The members of a list, an array or a tensor; UserError for what has none."""
    try:
        return list(values)
    except TypeError as error:
        raise UserError(f"{name} must be a list, not {values!r}") from error


def ids(name: str, values: object) -> tuple[int, ...]:
    """Rows of a table as a list, an array or a tensor of whole numbers gives them."""
    if isinstance(values, str | bytes):
        raise UserError(f"{name} must be a list of whole numbers, not {values!r}")
    return tuple(whole(f"an id of {name}", value, 0) for value in many(name, values))
