"""A run that has minutes keeps its time on a machine that becomes busy or free, and what it does then is repeated."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from tiny import SETTINGS

from undiffuse.training import loop, pilot
from undiffuse.training.metrics import read_metrics
from undiffuse.training.pilot import PATIENCE, Pilot
from undiffuse.training.plan import Course, Plan, dial, sized
from undiffuse.training.recipe import resolve
from undiffuse.training.run import resume, train

MINUTES = 5.0
CONFIGURATION = sized(resolve("default", ("training.dtype=float32",)).configuration, dial(MINUTES, 1_000_000))


class Machine:
    """A run of the plan whose steps take what `pace` says of a step and a number of threads."""

    def __init__(self, pace, monkeypatch) -> None:
        self.pace, self.kept, self.threads = pace, [], 2
        monkeypatch.setattr(pilot.torch, "set_num_threads", self.use)
        monkeypatch.setattr(pilot.torch, "get_num_threads", lambda: self.threads)

    def use(self, threads: int) -> None:
        self.threads = threads

    def run(self, plan: Plan, choices=()) -> tuple[Plan, float]:
        steering, step, spent = Pilot(plan, self.kept.append, choices), 0, 0.0
        course = steering.begin(0)
        while step < course.ends[-1]:
            seconds = self.pace(step, self.threads)
            step, spent = step + 1, spent + seconds
            if step < course.ends[-1]:
                course = steering.after(step, seconds, spent, validations=0)
        assert steering.plan == (self.kept[-1] if self.kept else plan)
        return steering.plan, spent


def planned(**facts) -> Plan:
    return Plan(CONFIGURATION, (Course(0, (600,), **({"seconds_per_step": 0.5, "until": 60 * MINUTES} | facts)),))


@pytest.mark.parametrize(("factor", "changes"), [(1.0, 0), (1.25, 0), (0.8, 0), (2.5, 1), (0.4, 1)])
def test_the_end_is_near_the_time_whatever_the_machine_does(monkeypatch, factor, changes):
    """From step 100 on steps take longer or shorter: the end moves once they did so for half a minute."""
    machine = Machine(lambda step, threads: 0.5 * (factor if step >= 100 else 1.0), monkeypatch)
    plan, spent = machine.run(planned())
    assert len(plan.courses) == 1 + changes
    assert spent == pytest.approx(60 * MINUTES, rel=0.03 if changes else 0.26)
    if changes:
        before = plan.courses[1].step - 100
        assert PATIENCE <= before * 0.5 * factor < PATIENCE + 3 * pilot.WINDOW
        assert plan.courses[1].seconds_per_step == pytest.approx(0.5 * factor)


def test_a_short_disturbance_changes_nothing(monkeypatch):
    machine = Machine(lambda step, threads: 5.0 if 100 <= step < 104 else 0.5, monkeypatch)
    assert machine.run(planned())[0] == planned()


def test_other_numbers_of_threads_are_tried_and_the_fastest_stays(monkeypatch):
    """Another process takes one of two cores: waiting for the second thread costs more than doing without it."""
    machine = Machine(lambda step, threads: {1: 0.8, 2: 0.5 if step < 100 else 2.0}[threads], monkeypatch)
    plan, spent = machine.run(planned(threads=2), (2, 1))
    assert [course.threads for course in plan.courses] == [2, 1, 1]
    assert plan.courses[-1].seconds_per_step == pytest.approx(0.8)
    assert spent == pytest.approx(60 * MINUTES, rel=0.03)
    back = Machine(lambda step, threads: {1: 1.6, 2: 0.5 if step < 100 else 1.0}[threads], monkeypatch)
    assert [course.threads for course in back.run(planned(threads=2), (2, 1))[0].courses] == [2, 1, 2]


def test_a_run_in_steps_is_never_changed(monkeypatch):
    machine = Machine(lambda step, threads: 10.0, monkeypatch)
    in_steps = planned(seconds_per_step=None, until=None)
    assert machine.run(in_steps, (2, 1)) == (in_steps, 6000.0)


def test_recorded_courses_are_taken_at_their_steps_whatever_the_pace(monkeypatch):
    machine = Machine(lambda step, threads: 0.5 if step < 100 else 2.0, monkeypatch)
    plan, _ = machine.run(planned(threads=2), (2, 1))
    again = Machine(lambda step, threads: plan.at(step).seconds_per_step, monkeypatch)
    used = []
    monkeypatch.setattr(again, "use", used.append)
    monkeypatch.setattr(pilot.torch, "set_num_threads", used.append)
    assert again.run(plan, (2, 1))[0] == plan
    assert used == [course.threads for course in plan.courses]


def test_a_run_that_was_planned_again_is_repeated_bit_for_bit(text, tmp_path, monkeypatch):
    """Steps take 1 s, from step 10 on 4 s, by a clock; then the run goes on from before that by a calm one."""
    clock = {"now": 0.0, "pace": lambda step: 1.0 if step < 10 else 4.0}
    monkeypatch.setattr(loop.time, "monotonic", lambda: clock["now"])
    take_step, kept = loop.take_step, tmp_path / "kept"

    def timed(job, state):
        clock["now"] += clock["pace"](state.step)
        take_step(job, state)

    def keep(report):
        if report.phase == "training" and report.step == 13 and not kept.exists():
            shutil.copytree(tmp_path / "run", kept)

    monkeypatch.setattr(loop, "take_step", timed)
    monkeypatch.setattr(
        "undiffuse.training.run.make_plan",
        lambda assembly, budget, threads: replace(
            planned(threads=1, seconds_per_step=1.0),
            configuration=sized(assembly.configuration, dial(1.0, 1000)),
            courses=(Course(0, (100,), 1.0, 100.0, 1),),
        ),
    )
    settings = (*SETTINGS, "training.checkpoint_seconds=0")
    run = train(text, out=tmp_path / "run", minutes=100 / 60, overrides=settings, progress=keep)
    assert run.complete
    assert 25 < run.steps < 40
    plan = json.loads((run.directory / "plan.json").read_text())
    (changed,) = [line for line in read_metrics(run.directory / "metrics.jsonl") if "course" in line]
    assert changed == {"step": changed["step"], "course": plan["courses"][1]}
    assert json.loads(json.dumps(run.model.manifest))["training"]["courses"] == plan["courses"]
    # interrupted before the change, with the plan that was recorded since
    shutil.copy(run.directory / "plan.json", kept / "plan.json")
    clock["pace"] = lambda step: 1.0 if step < changed["step"] else 4.0
    again = resume(kept)
    assert again.steps == run.steps
    assert (kept / "model.safetensors").read_bytes() == (run.directory / "model.safetensors").read_bytes()
    assert torch.get_num_threads() == 1
