"""From a budget to sizes and steps."""

import time
from types import SimpleNamespace

import pytest
import torch

from undiffuse.data.packing import CLOSING
from undiffuse.errors import UserError
from undiffuse.training import planning
from undiffuse.training.plan import Budget, Plan, affordable, best_dtype, dial, sized
from undiffuse.training.planning import make_plan, numbers_of_threads
from undiffuse.training.recipe import resolve


def configuration(*overrides: str):
    return resolve("default", overrides).configuration


class Machine:
    """Stands in for the clock and the training step: every step of a model takes as long as its size says."""

    configuration = configuration()
    train = SimpleNamespace(bytes=1_000_000)
    longest = None

    def __init__(self, monkeypatch, operations_per_second: float) -> None:
        self.now, self.speed, self.built = 0.0, operations_per_second, []
        monkeypatch.setattr(planning.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(planning, "take_step", self.step)

    def build(self, plan: Plan):
        self.built.append(plan.configuration)
        width, depth = plan.configuration.model["width"], plan.configuration.model["depth"]
        table, matrices = (torch.empty(size, device="meta") for size in (5 * width, 12 * depth * width * width))
        job = SimpleNamespace(
            parameters=table.numel() + matrices.numel(),
            matrices=matrices.numel(),
            predictor=SimpleNamespace(traits=SimpleNamespace(vocab_rows=5)),
            rows=plan.configuration.training.rows,
            source=SimpleNamespace(length=plan.configuration.context),
        )
        return job, None

    def step(self, job, state) -> None:
        self.now += 6 * job.matrices * job.rows * job.source.length / self.speed


def test_steps_never_consult_the_clock(monkeypatch):
    machine = Machine(monkeypatch, 1.0)
    monkeypatch.setattr(machine, "build", lambda plan: pytest.fail("a step was measured"))
    for clock in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, clock, lambda: pytest.fail("a clock was read"))
    plan = make_plan(machine, Budget(steps=300))
    assert plan.ends == (300,)
    assert plan.courses[0].seconds_per_step is None


@pytest.mark.parametrize("minutes", [1.0, 2.0, 20.0])
def test_minutes_buy_as_many_steps_as_the_machine_makes_in_them(monkeypatch, minutes):
    machine = Machine(monkeypatch, planning.REFERENCE_SPEED)
    plan = make_plan(machine, Budget(minutes=minutes))
    assert len(machine.built) == 1
    settings = plan.configuration.training
    passes = settings.validations * settings.windows * 2 / settings.rows
    course = plan.at(0)
    assert course.ends[0] * course.seconds_per_step + passes * course.seconds_per_step / 3 == pytest.approx(
        60 * minutes, abs=course.seconds_per_step
    )
    assert course.until == 60 * minutes


def test_a_faster_machine_gets_a_larger_model_measured_for_itself(monkeypatch):
    reference, fast = Machine(monkeypatch, planning.REFERENCE_SPEED), 50 * planning.REFERENCE_SPEED
    small = make_plan(reference, Budget(minutes=2.0))
    machine = Machine(monkeypatch, fast)
    large = make_plan(machine, Budget(minutes=2.0))
    assert large.configuration.model["width"] > small.configuration.model["width"]
    assert [c.model["width"] for c in machine.built] == [
        small.configuration.model["width"],
        large.configuration.model["width"],
    ]
    assert large.ends[0] == affordable(large.configuration, 2.0, large.at(0).seconds_per_step)


def test_a_budget_is_minutes_or_steps():
    with pytest.raises(UserError, match="not both"):
        Budget(minutes=1.0, steps=10)
    for wrong in ({"steps": 0}, {"minutes": -1.0}, {"minutes": float("nan")}, {"minutes": float("inf")}, {}):
        with pytest.raises(UserError, match="a budget is a positive number of minutes or steps, not"):
            Budget(**wrong)


def test_what_the_configuration_fixes_stays():
    fixed = configuration(
        "model.width=48", "model.depth=3", "model.context=40", "training.rows=6", "training.dtype=float32"
    )
    chosen = sized(fixed, dial(2.0, 1_000_000))
    assert {name: chosen.model[name] for name in ("width", "depth", "context")} == {
        "width": 48,
        "depth": 3,
        "context": 40,
    }
    assert (chosen.training.rows, chosen.training.dtype) == (6, "float32")
    assert 48 % (2 * chosen.model["heads"]) == 0


def test_rows_of_the_dial_can_be_split_as_asked():
    chosen = sized(configuration("training.accumulation=7"), dial(2.0, 1_000_000))
    assert chosen.training.rows % 7 == 0


def test_more_minutes_never_buy_a_smaller_model():
    weights = [(size := dial(minutes, 10**7)).depth * size.width**2 for minutes in (0.1, 1, 5, 10, 60, 1000)]
    assert weights == sorted(weights)
    assert weights[0] < weights[-1]


def test_bfloat16_only_where_the_processor_multiplies_in_it(monkeypatch):
    for supported, expected in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda supported=supported: supported)
        assert best_dtype() == expected
        assert sized(configuration(), dial(1.0, 10**6)).training.dtype == expected


@pytest.mark.parametrize(("slowdown", "best", "tried"), [({2: 1, 1: 2}, 2, [2, 1]), ({4: 3, 2: 2, 1: 4}, 2, [4, 2, 1])])
def test_the_number_of_threads_is_what_is_fastest_here(monkeypatch, slowdown, best, tried):
    """Fewer are tried as long as they are faster; with an idle second core all are kept."""
    machine, used = Machine(monkeypatch, planning.REFERENCE_SPEED), [max(slowdown)]
    step = machine.step

    def threaded(job, state) -> None:
        before = machine.now
        step(job, state)
        machine.now = before + (machine.now - before) * slowdown[used[-1]]

    monkeypatch.setattr(planning, "take_step", threaded)
    monkeypatch.setattr(planning.torch, "set_num_threads", used.append)
    course = make_plan(machine, Budget(minutes=2.0), numbers_of_threads(max(slowdown))).at(0)
    assert used == [*tried, best]
    assert course.threads == best
    assert course.ends[0] * course.seconds_per_step == pytest.approx(120, rel=0.05)


def test_numbers_of_threads_are_all_and_halves():
    assert [numbers_of_threads(most) for most in (1, 2, 6)] == [(1,), (2, 1), (6, 3, 1)]


def test_records_have_a_context_that_holds_the_longest_and_as_many_tokens_a_step():
    sizes = [dial(2.0, 20_000, longest) for longest in (5, 23, 40, 2000)]
    assert [size.context for size in sizes] == [24, 32, 48, 256]
    assert all(size.context >= longest + CLOSING - 1 for size, longest in zip(sizes[:3], (5, 23, 40), strict=True))
    text = dial(2.0, 20_000)
    assert all(abs(size.rows * size.context - text.rows * 128) < size.context for size in sizes)
