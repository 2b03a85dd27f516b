"""Numbers as people and programs read them: on a page, and in JSON."""

import math

LARGEST = 1e6
"""From here on a number is written by its power of ten."""


def figure(value: float | None, places: int) -> str:
    """`2.703`, or `1.24e+87` where digits before the point would not be read; `–` for what is not known."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.{places}f}" if abs(value) < LARGEST or math.isinf(value) else f"{value:.2e}"


def error(value: float | None, places: int) -> str:
    """` ± 0.012`, and nothing where too few draws state no standard error."""
    return "" if value is None or not math.isfinite(value) else f" ± {figure(value, places)}"


def finite(value: object) -> object:
    """The value with None in the place of every number that is not finite, which JSON lacks."""
    if isinstance(value, dict):
        return {key: finite(held) for key, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(held) for held in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
