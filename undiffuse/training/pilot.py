"""Keeps a run that has minutes near its time when the machine becomes busy or free.

A run follows its plan. When steps have taken a third more or less than planned for half a minute, other numbers of
threads are tried in steps of the run (unless the number was asked for), and its last end is planned again. Every such
change is a course that is recorded before the step that it begins with: what is resumed takes the recorded ones again,
at their steps, and the same weights come out, bit for bit. A run in steps is never changed.
"""

import statistics
from collections.abc import Callable
from dataclasses import replace

import torch

from .plan import Course, Plan, affordable

STRAYED = 4 / 3
"""How many times slower or faster than planned steps must be."""
PATIENCE = 30.0
"""For so many seconds."""
WINDOW = 5.0
"""Seconds over which a pace is a mean."""
TRIAL_SECONDS, TRIAL_STEPS = 1.0, 5
"""Length of a trial of a number of threads: so many seconds, and so many steps at least."""


class Pilot:
    """Says after every step under which course the run goes on; `keep` records a plan that has changed.

    `threads` are the numbers of threads that may be tried, none if the number was asked for.
    """

    def __init__(self, plan: Plan, keep: Callable[[Plan], None], threads: tuple[int, ...] = ()) -> None:
        self.plan, self.threads = plan, threads
        self._keep = keep
        self._window: list[float] = []
        self._strayed, self._direction = 0.0, 0
        self._recent: list[float] = []
        self._trials: list[int] = []
        self._found: dict[int, float] = {}

    def begin(self, step: int) -> Course:
        """The course of a run that has taken so many steps."""
        return self._taken(self.plan.at(step))

    def after(self, step: int, seconds: float, spent: float, validations: int) -> Course:
        """The course from here on: so many steps are done, and the last took `seconds`.

        `spent` are the seconds of training so far, `validations` are still to come.
        """
        present = self.plan.at(step)
        if present.step == step:
            self._reset()
            return self._taken(present)
        if step < self.plan.courses[-1].step or present.until is None or present.seconds_per_step is None:
            return present
        self._window.append(seconds)
        if self._found:
            return self._tried(step, present, spent, validations)
        if sum(self._window) < WINDOW or not self._strays(present.seconds_per_step):
            return present
        return self._changed(step, present, spent, validations)

    def _strays(self, planned: float) -> bool:
        """Whether all windows of the last half a minute were too slow, or all too fast."""
        pace, length = statistics.fmean(self._window), sum(self._window)
        direction = (pace > STRAYED * planned) - (pace < planned / STRAYED)
        if direction == 0 or direction != self._direction:
            self._strayed, self._recent = 0.0, []
        self._direction = direction
        self._strayed += length if direction else 0.0
        self._recent += self._window
        self._window = []
        return self._strayed >= PATIENCE

    def _changed(self, step: int, present: Course, spent: float, validations: int) -> Course:
        """Other threads first, if there are any; else a new end."""
        pace = statistics.median(self._recent)
        now = present.threads or torch.get_num_threads()
        self._trials = [threads for threads in self.threads if threads != now]
        if not self._trials:
            return self._planned(step, present, pace, spent, validations)
        self._found = {now: pace}
        return self._recorded(replace(present, step=step, threads=self._trials.pop(0)))

    def _tried(self, step: int, present: Course, spent: float, validations: int) -> Course:
        """The next trial, or the course with the best number of threads."""
        if sum(self._window) < TRIAL_SECONDS or len(self._window) < TRIAL_STEPS:
            return present
        assert present.threads is not None
        self._found[present.threads] = statistics.median(self._window)
        self._window = []
        if self._trials:
            return self._recorded(replace(present, step=step, threads=self._trials.pop(0)))
        best = min(self._found, key=self._found.__getitem__)
        return self._planned(step, replace(present, threads=best), self._found[best], spent, validations)

    def _planned(self, step: int, present: Course, pace: float, spent: float, validations: int) -> Course:
        """The course whose last end is what the time that is left affords at this pace."""
        assert present.until is not None
        more = affordable(self.plan.configuration, max(0.0, present.until - spent) / 60, pace, validations)
        self._reset()
        return self._recorded(
            replace(present, step=step, ends=(*present.ends[:-1], step + more), seconds_per_step=pace)
        )

    def _recorded(self, course: Course) -> Course:
        self.plan = self.plan.then(course)
        self._keep(self.plan)
        return self._taken(course)

    def _taken(self, course: Course) -> Course:
        if course.threads is not None and self.threads:
            torch.set_num_threads(course.threads)
        return course

    def _reset(self) -> None:
        self._window, self._recent, self._strayed, self._direction = [], [], 0.0, 0
        self._trials, self._found = [], {}
