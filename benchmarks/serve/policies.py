"""Whose turn it is, otherwise: three schedulers on the same engine, as good as each kind can be.

They share the engine's admission, streams, cancellation and batches, and differ in which jobs take the next step.
"""

import time

from undiffuse.serve.engine import Engine, Limits
from undiffuse.serve.job import Job

SYSTEMS = ("ours", "static", "equal", "alone")
AGE = 0.25
"""Seconds after which a job that was passed over goes first, under equal steps."""


class Scheduled(Engine):
    """The engine, whose way to choose can be exchanged while nothing runs. `ours` is the one of the product."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self.system = "ours"
        self._cohort: list[Job] = []
        self._went: dict[str, float] = {}

    def _choose(self) -> list[Job]:
        if self.system == "ours":
            return super()._choose()
        decks = {key: deck for key, deck in self._decks.items() if deck.jobs}
        self._decks = decks
        waits = {job for deck in decks.values() for job in deck.jobs}
        here = [job for job in self._running if job.evaluates or job in waits]  # in the order of their arrival
        return list(getattr(self, f"_{self.system}")(here)) if here else []

    def _alone(self, here: list[Job]) -> list[Job]:
        """One request at a time, in the order of arrival."""
        return here[:1]

    def _static(self, here: list[Job]) -> list[Job]:
        """A batch of all who wait, within the budget of rows; nobody joins before its last has ended.

        Answers leave as they are finished, and their rows cost nothing from then on.
        """
        going = [job for job in self._cohort if job in here]
        self._cohort = going or self._fitting(here)
        return self._cohort

    def _equal(self, here: list[Job]) -> list[Job]:
        """Jobs at the same step share a forward pass: the largest such set goes, or that of whoever waits too long."""
        now = time.monotonic()
        self._went = {job.name: self._went.get(job.name, now) for job in here}
        sets: dict[int, list[Job]] = {}
        for job in here:
            sets.setdefault(self._at(job), []).append(job)
        oldest = min(here, key=lambda job: self._went[job.name])
        late = now - self._went[oldest.name] > AGE
        chosen = self._fitting(sets[self._at(oldest)] if late else max(sets.values(), key=len))
        for job in chosen:
            self._went[job.name] = now
        return chosen

    @staticmethod
    def _at(job: Job) -> int:
        return -1 if job.canvas is None else int(job.canvas.step.max())

    def _fitting(self, jobs: list[Job]) -> list[Job]:
        """The first that fit into the budget, one at least."""
        room, chosen = self.limits.rows, []
        for job in jobs:
            if chosen and job.cost > room:
                break
            chosen.append(job)
            room -= job.cost
        return chosen
