"""From a budget to a plan: one dial sets the network's size, the batch and the number of steps.

`--steps` never looks at a clock. `--minutes` measures this machine once, before the first step; the plan is then fixed
and recorded, so that a run that is resumed goes on with the same one.
"""

import statistics
import time
from dataclasses import replace

from .assembly import Assembly
from .configuration import Configuration
from .loop import Job, take_step
from .plan import Budget, Plan, dial, sized
from .state import TrainingState
from .validation import PART_DRAWS

REFERENCE_SPEED = 1.5e11
"""Training speed, in operations per second, of the machine on which the dial was set (two cores with AVX512-BF16)."""
MEASURED_SECONDS = 2.0
"""Length of a measurement; five steps at least."""
TRIAL_STEPS = 1_000_000
"""Where a run would end that only measures: too far to matter."""


def make_plan(assembly: Assembly, budget: Budget) -> Plan:
    """Chooses what the configuration leaves open."""
    configuration, text_bytes = assembly.configuration, assembly.train.bytes
    if budget.steps is not None:
        return Plan(sized(configuration, dial(budget.nominal_minutes, text_bytes)), (budget.steps,))
    assert budget.minutes is not None
    trial = Plan(sized(configuration, dial(budget.minutes, text_bytes)), (TRIAL_STEPS,))
    job, state = assembly.build(trial)
    seconds = measure(job, state)
    speed = _operations(job, trial.configuration) / seconds
    plan = Plan(sized(configuration, dial(budget.minutes * speed / REFERENCE_SPEED, text_bytes)), (TRIAL_STEPS,))
    if plan != trial:
        seconds = measure(*assembly.build(plan))
    return replace(plan, ends=(affordable(plan.configuration, budget.minutes, seconds),), seconds_per_step=seconds)


def extended(assembly: Assembly, plan: Plan, extension: Budget) -> Plan:
    """The plan with one more stretch."""
    if extension.steps is not None:
        return replace(plan, ends=(*plan.ends, plan.ends[-1] + extension.steps))
    assert extension.minutes is not None
    seconds = measure(*assembly.build(replace(plan, ends=(TRIAL_STEPS,))))
    steps = affordable(plan.configuration, extension.minutes, seconds)
    return replace(plan, ends=(*plan.ends, plan.ends[-1] + steps), seconds_per_step=seconds)


def _operations(job: Job, configuration: Configuration) -> int:
    """Of a step: six per token for each weight that multiplies, forward and backward; the embedding is looked up."""
    table = job.predictor.traits.vocab_rows * int(configuration.model["width"])  # type: ignore[call-overload]
    return 6 * (job.parameters - table) * job.rows * job.source.length


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
