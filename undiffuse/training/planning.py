"""From a budget to a plan: one dial sets the network's size, the batch and the number of steps.

`--steps` never looks at a clock. `--minutes` measures this machine before the first step, with all threads and with
fewer unless their number is asked for; the plan is recorded, so that a run that is resumed goes on with the same one.
(`pilot` changes it when the machine becomes busy or free.)
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from .assembly import Assembly
from .configuration import Configuration
from .loop import Job, take_step
from .plan import Budget, Course, Plan, affordable, dial, sized
from .state import TrainingState

REFERENCE_SPEED = 1.5e11
"""Training speed, in operations per second, of the machine on which the dial was set (two cores with AVX512-BF16)."""
MEASURED_SECONDS, MEASURED_SHARE = 2.0, 0.05
"""Length of a measurement, at most, and as a share of the budget; five steps at least."""
TRIAL_STEPS = 1_000_000
"""Where a run would end that only measures: too far to matter."""


def make_plan(assembly: Assembly, budget: Budget, threads: tuple[int, ...] = ()) -> Plan:
    """Chooses what the configuration leaves open, and under minutes the best of some numbers of threads."""
    configuration, text = assembly.configuration, (assembly.train.bytes, assembly.longest)
    if budget.steps is not None:
        ends = (budget.steps,)
        return Plan(sized(configuration, dial(budget.nominal_minutes, *text)), (Course(0, ends),))
    assert budget.minutes is not None
    far = (Course(0, (TRIAL_STEPS,)),)
    trial = Plan(sized(configuration, dial(budget.minutes, *text)), far)
    job, state = assembly.build(trial)
    length = measured_seconds(budget.minutes)
    seconds, best = _fastest(threads, measure(job, state, length), lambda: measure(*assembly.build(trial), length))
    speed = _operations(job, trial.configuration) / seconds
    plan = Plan(sized(configuration, dial(budget.minutes * speed / REFERENCE_SPEED, *text)), far)
    if plan != trial:
        seconds = measure(*assembly.build(plan), length)
    ends = (affordable(plan.configuration, budget.minutes, seconds),)
    return replace(plan, courses=(Course(0, ends, seconds, 60 * budget.minutes, best),))


def extended(
    assembly: Assembly, plan: Plan, extension: Budget, spent: float = 0.0, threads: tuple[int, ...] = ()
) -> Plan:
    """The plan with one more stretch, after so many seconds of training."""
    done, last = plan.ends[-1], plan.courses[-1]
    if extension.steps is not None:
        return plan.then(Course(done, (*plan.ends, done + extension.steps), threads=last.threads))
    assert extension.minutes is not None
    trial = replace(plan, courses=(Course(0, (TRIAL_STEPS,)),))
    length = measured_seconds(extension.minutes)
    seconds, best = _fastest(
        threads, measure(*assembly.build(trial), length), lambda: measure(*assembly.build(trial), length)
    )
    ends = (*plan.ends, done + affordable(plan.configuration, extension.minutes, seconds))
    return plan.then(Course(done, ends, seconds, spent + 60 * extension.minutes, best))


def _fastest(threads: tuple[int, ...], seconds: float, again: Callable[[], float]) -> tuple[float, int | None]:
    """Seconds of a step with the best of some numbers of threads, which it sets; None if there are none to choose.

    The first number is in force and takes `seconds`; others are tried, by `again`, as long as they are faster.
    """
    if not threads:
        return seconds, None
    best = threads[0]
    for fewer in threads[1:]:
        torch.set_num_threads(fewer)
        found = again()
        if found >= seconds:
            break
        seconds, best = found, fewer
    torch.set_num_threads(best)
    return seconds, best


def _operations(job: Job, configuration: Configuration) -> int:
    """Of a step: six per token for each weight that multiplies, forward and backward; the embedding is looked up."""
    table = job.predictor.traits.vocab_rows * int(configuration.model["width"])  # type: ignore[call-overload]
    return 6 * (job.parameters - table) * job.rows * job.source.length


def numbers_of_threads(most: int) -> tuple[int, ...]:
    """What is tried: all, half of them, and so on down to one."""
    return (most, *numbers_of_threads(most // 2)) if most > 1 else (1,)


def measured_seconds(minutes: float) -> float:
    return min(MEASURED_SECONDS, MEASURED_SHARE * 60 * minutes)


def measure(job: Job, state: TrainingState, length: float) -> float:
    """Median seconds of a real training step, over so many seconds, after two that warm up. The state is spent: build
    another to train."""
    times: list[float] = []
    while len(times) < 5 or sum(times) < length:
        began = time.perf_counter()
        take_step(job, state)
        times.append(time.perf_counter() - began)
    return statistics.median(times[2:])
