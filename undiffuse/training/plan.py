"""From a budget to a model: one dial sets the network's size, the batch and the number of steps.

`--steps` never looks at a clock. `--minutes` measures this machine once, before the first step; the plan is then fixed
and recorded, so that a run that is resumed goes on with the same one.
"""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from ..errors import UserError
from .configuration import SIZES, Configuration
from .loop import Job, take_step
from .state import TrainingState
from .validation import PART_DRAWS

REFERENCE_SPEED = 1.5e11
"""Training speed, in operations per second, of the machine on which the dial was set (two cores with AVX512-BF16)."""
STEPS_PER_MINUTE = 600
"""What a budget in steps counts as, in minutes of that machine."""
MEASURED_SECONDS = 2.0
"""Length of a measurement; five steps at least."""
TRIAL_STEPS = 1_000_000
"""Where a run would end that only measures: too far to matter."""


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


@dataclass(frozen=True)
class Size:
    """What the dial chooses."""

    width: int
    depth: int
    heads: int
    context: int
    rows: int


def dial(minutes: float, text_bytes: int) -> Size:
    """A good size for so many minutes on the reference machine and so much text."""
    context = 128 if text_bytes > 20_000 else 64
    for limit, width, depth, rows in ((8.0, 128, 4, 8), (15.0, 192, 6, 16), (60.0, 256, 6, 32)):
        if minutes < limit:
            return Size(width, depth, width // 64, context, rows)
    return Size(384, 8, 6, context, 32)


@dataclass(frozen=True)
class Plan:
    """A configuration in which no size is left open, and where the run and its extensions end, ascending."""

    configuration: Configuration
    ends: tuple[int, ...]
    seconds_per_step: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "configuration": self.configuration.to_dict(),
            "ends": list(self.ends),
            "seconds_per_step": self.seconds_per_step,
        }


Build = Callable[[Plan], tuple[Job, TrainingState]]
"""Makes everything that the loop needs for a plan, with new weights."""


def make_plan(configuration: Configuration, budget: Budget, text_bytes: int, build: Build) -> Plan:
    """Chooses what the configuration leaves open."""
    if budget.steps is not None:
        return Plan(sized(configuration, dial(budget.nominal_minutes, text_bytes)), (budget.steps,))
    assert budget.minutes is not None
    trial = Plan(sized(configuration, dial(budget.minutes, text_bytes)), (TRIAL_STEPS,))
    job, state = build(trial)
    seconds = measure(job, state)
    speed = _operations(job, trial.configuration) / seconds
    plan = Plan(sized(configuration, dial(budget.minutes * speed / REFERENCE_SPEED, text_bytes)), (TRIAL_STEPS,))
    if plan != trial:
        seconds = measure(*build(plan))
    return replace(plan, ends=(affordable(plan.configuration, budget.minutes, seconds),), seconds_per_step=seconds)


def _operations(job: Job, configuration: Configuration) -> int:
    """Of a step: six per token for each weight that multiplies, forward and backward; the embedding is looked up."""
    table = job.predictor.traits.vocab_rows * int(configuration.model["width"])  # type: ignore[call-overload]
    return 6 * (sum(w.numel() for w in job.weights) - table) * job.rows * job.dataset.length


def affordable(configuration: Configuration, minutes: float, seconds_per_step: float) -> int:
    """Steps that fit into so many minutes, validations included: a forward pass costs a third of a step."""
    settings = configuration.training
    passes = PART_DRAWS + configuration.objective.search_passes
    validation = settings.validations * settings.windows * passes / int(settings.rows) / 3
    return max(10, int(minutes * 60 / seconds_per_step - validation))


def measure(job: Job, state: TrainingState) -> float:
    """Median seconds of a real training step, after two that warm up. The state is spent: build another to train."""
    times: list[float] = []
    while len(times) < 5 or sum(times) < MEASURED_SECONDS:
        began = time.perf_counter()
        take_step(job, state)
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:])


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


def _heads(width: Any) -> int:
    """Heads of 64, or of the nearest even size that divides the width."""
    good = [heads for heads in range(1, width // 2 + 1) if width % (2 * heads) == 0]
    return min(good, key=lambda heads: abs(width / heads - 64), default=1)


def best_dtype() -> Literal["bfloat16", "float32"]:
    """bfloat16 where the processor multiplies in it, else float32."""
    return "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "float32"
