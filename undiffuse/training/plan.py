"""What a run may cost and how large its model is: budgets, the dial from one to the other, and the plan of a run."""

import math
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch

from ..data.packing import CLOSING
from ..errors import UserError
from .configuration import SIZES, Configuration
from .validation import PART_DRAWS

MOST_OF_RECORDS = 256
"""The largest context that is chosen for records; longer ones are learned in pieces."""
STEPS_PER_MINUTE = 600
"""What a budget in steps counts as, in minutes of the machine on which the dial was set (`planning`)."""


@dataclass(frozen=True)
class Budget:
    """What a run may cost: exactly one of minutes of training, or optimizer steps."""

    minutes: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if self.minutes is not None and self.steps is not None:
            raise UserError("give minutes or steps, not both")
        given = self.minutes if self.minutes is not None else self.steps
        if given is None or not 0 < given < math.inf:
            raise UserError(f"a budget is a positive number of minutes or steps, not {given}")

    @property
    def nominal_minutes(self) -> float:
        """Minutes on the reference machine."""
        return self.minutes if self.minutes is not None else (self.steps or 0) / STEPS_PER_MINUTE

    def after(self, seconds: float) -> "Budget":
        """What is left for training of a budget in minutes, a tenth at the least; steps stay as they are."""
        if self.minutes is None:
            return self
        return Budget(max(self.minutes - seconds / 60, self.minutes / 10))


@dataclass(frozen=True)
class Size:
    """What the dial chooses."""

    width: int
    depth: int
    heads: int
    context: int
    rows: int


def dial(minutes: float, text_bytes: int, longest: int | None = None) -> Size:
    """A good size for so many minutes on the reference machine and so much text, or records of at most so many tokens.

    Records have a context that holds the longest, and as many tokens in a step as a text has.
    """
    if longest is not None:
        return _of_records(dial(minutes, text_bytes), longest)
    context = 128 if text_bytes > 20_000 else 64
    for limit, width, depth, rows in ((8.0, 128, 4, 8), (15.0, 192, 6, 16), (60.0, 256, 6, 32)):
        if minutes < limit:
            return Size(width, depth, width // 64, context, rows)
    return Size(384, 8, 6, context, 32)


def _of_records(size: Size, longest: int) -> Size:
    context = min(max(24, longest + CLOSING - 1 + -(longest + CLOSING - 1) % 8), MOST_OF_RECORDS)
    return replace(size, context=context, rows=-(-1024 * size.rows // 8 // context))


@dataclass(frozen=True)
class Course:
    """How a run goes on from a step.

    `ends` are the steps at which the run and its extensions end, ascending. A last end that was bought with minutes
    has the pace by which it was planned, `seconds_per_step`, and the seconds of training after which it should be
    reached, `until`. `threads` is None where they were asked for.
    """

    step: int
    ends: tuple[int, ...]
    seconds_per_step: float | None = None
    until: float | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Plan:
    """A configuration in which no size is left open, and the courses that a run takes, in their order.

    The first begins at step 0. Later ones are extensions, and changes of the machine's pace while the run had minutes:
    each is recorded before the step that it begins with, so that a run that is resumed takes them all again.
    """

    configuration: Configuration
    courses: tuple[Course, ...]

    @property
    def ends(self) -> tuple[int, ...]:
        """Where the run and its extensions end."""
        return self.courses[-1].ends

    def at(self, step: int) -> Course:
        """The course of the step after so many."""
        return next(course for course in reversed(self.courses) if course.step <= step)

    def then(self, course: Course) -> "Plan":
        """The plan with one more course."""
        return replace(self, courses=(*self.courses, course))

    def to_dict(self) -> dict[str, Any]:
        return {
            "configuration": self.configuration.to_dict(),
            "courses": [asdict(course) for course in self.courses],
        }


def sized(configuration: Configuration, size: Size) -> Configuration:
    """The configuration with its open values filled in, by the size or by the machine."""
    model = dict(configuration.model)
    settings = configuration.training
    if model["width"] != "auto" and model["heads"] == "auto":
        model["heads"] = _heads(model["width"])
    for name in SIZES:
        if model[name] == "auto":
            model[name] = getattr(size, name)
    rows = size.rows + -size.rows % settings.accumulation if settings.rows == "auto" else settings.rows
    dtype = best_dtype() if settings.dtype == "auto" else settings.dtype
    return replace(configuration, model=model, training=replace(settings, rows=rows, dtype=dtype))


def affordable(
    configuration: Configuration, minutes: float, seconds_per_step: float, validations: int | None = None
) -> int:
    """Steps that fit into so many minutes with so many validations (all of a run): a pass costs a third of a step."""
    settings = configuration.training
    passes = PART_DRAWS + configuration.objective.search_passes
    count = settings.validations if validations is None else validations
    validation = count * settings.windows * passes / int(settings.rows) / 3
    return max(10, int(minutes * 60 / seconds_per_step - validation))


def _heads(width: Any) -> int:
    """Heads of 64, or of the nearest even size that divides the width; 126 is as near as 2, which divides any."""
    good = [size for size in range(126, 1, -2) if width % size == 0]
    return width // min(good, key=lambda size: abs(size - 64)) if good else 1


def best_dtype() -> Literal["bfloat16", "float32"]:
    """bfloat16 where the processor multiplies in it, else float32."""
    return "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "float32"
