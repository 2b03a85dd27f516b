"""What runs side by side on one predictor: the requests of many jobs in one batch.

Which jobs take the next step is the engine's choice. Those that sit out are parked with all that belongs to them, and
come back by joining: neither changes a token of theirs or of their mates.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from ..decode.batch import Batch
from ..decode.canvas import Canvas
from ..decode.demand import Denoise
from ..decode.loop import begin, step
from ..errors import not_finite
from ..predictor import Predictor
from .job import Job
from .pages import Pages


class OverdueError(RuntimeError):
    """A strategy left positions pending beyond the number of steps that it had promised."""


@dataclass(frozen=True, eq=False)
class Step:
    """The jobs whose canvas a step changed, those of them that ended, and those that failed, with the error."""

    moved: list[Job]
    ended: list[Job]
    failed: list[tuple[Job, BaseException]]


@dataclass(eq=False)
class Deck:
    """The jobs of one predictor; `batch` has the rows of those in `seats`, in order: job, and its own row.

    What they begin with is taken from `pages`, and kept there after the first step and at the end.
    """

    predictor: Predictor
    pages: Pages
    batch: Batch | None = None
    seats: list[tuple[Job, int]] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    hurried: bool = False

    def add(self, job: Job, demand: Denoise) -> None:
        """Take in what a job wants denoised. UserError for what cannot be decoded."""
        fresh = begin(self.predictor, demand.requests)
        if self.hurried:
            fresh = fresh.hurried()
        shared = self.pages.take(self.predictor, fresh)
        job.work.shared += shared
        job.canvas, job.parked, job.fresh = fresh.canvas, fresh, True
        job.going = list(range(len(fresh)))
        job.part += 1
        job.cost = max(_first_cost(fresh) - shared, 1)
        if job not in self.jobs:
            self.jobs.append(job)

    def remove(self, job: Job) -> None:
        """Forget a job, wherever it stands."""
        self.jobs = [other for other in self.jobs if other is not job]
        self._leave([job])
        job.parked = None

    def hurry(self) -> None:
        """Have every job, and those that come, completed by the next evaluation of each part."""
        if self.hurried:
            return
        self.hurried = True
        self.batch = None if self.batch is None else self.batch.hurried()
        for job in self.jobs:
            job.parked = None if job.parked is None else job.parked.hurried()

    @property
    def seated(self) -> list[Job]:
        """The jobs that take the next step, in the order of their rows."""
        return list(dict.fromkeys(job for job, _ in self.seats))

    def _leave(self, jobs: Sequence[Job]) -> None:
        """Park those of some jobs that are seated."""
        leaving = [job for job in self.seated if job in jobs]
        if not leaving or self.batch is None:
            return
        for job in leaving:
            job.parked = self.batch.select([place for place, (who, _) in enumerate(self.seats) if who is job])
        stay = [place for place, (who, _) in enumerate(self.seats) if who not in leaving]
        self.batch = self.batch.select(stay) if stay else None
        self.seats = [self.seats[place] for place in stay]

    def seat(self, jobs: Sequence[Job]) -> None:
        """Have these jobs, and no others, take the next step."""
        self._leave([job for job in self.seated if job not in jobs])
        coming = [] if self.batch is None else [self.batch]
        for job in jobs:
            if job.parked is None:
                continue
            coming.append(job.parked)
            self.seats += [(job, row) for row in job.going]
            job.parked = None
        self.batch = joined(coming)

    def step(self) -> Step:
        """A step of all that are seated. One that fails fails alone: the others take theirs without it."""
        assert self.batch is not None
        before = self.batch.canvas
        try:
            after, _ = step(self.predictor, self.batch)
        except Exception as error:  # whose it is shows when each takes the step alone
            return self._apart(error)
        return self._taken(before, after)

    def _apart(self, error: Exception) -> Step:
        seated = self.seated
        if len(seated) == 1:
            self.remove(seated[0])
            return Step([], [], [(seated[0], error)])
        done = Step([], [], [])
        for job in seated:
            self.seat([job])
            one = self.step()
            done.moved.extend(one.moved)
            done.ended.extend(one.ended)
            done.failed.extend(one.failed)
        return done

    def _taken(self, before: Canvas, after: Batch) -> Step:
        canvas = after.canvas
        broken = torch.isnan(canvas.commit_logp).any(-1)
        late = canvas.step >= after.most_steps
        facts = torch.stack((canvas.done, late & ~canvas.done, broken)).tolist()
        spent = torch.stack((canvas.nfe - before.nfe, canvas.rows - before.rows, _decided(canvas) - _decided(before)))
        bill = spent.tolist()
        places: dict[Job, list[int]] = {}
        for place, (job, _) in enumerate(self.seats):
            places.setdefault(job, []).append(place)
        self.batch = after
        moved: list[Job] = []
        ended: list[Job] = []
        failed: list[tuple[Job, BaseException]] = []
        for job, mine in places.items():
            own = [self.seats[place][1] for place in mine]
            job.work.nfe += sum(bill[0][place] for place in mine)
            job.work.rows += sum(bill[1][place] for place in mine)
            job.work.committed += sum(bill[2][place] for place in mine)
            job.cost = max(sum(bill[1][place] for place in mine), 1)
            if any(facts[2][place] for place in mine):
                failed.append((job, not_finite(canvas.commit_logp.dtype)))
                continue
            if any(facts[1][place] for place in mine):
                failed.append((job, OverdueError("a strategy left positions pending beyond its bound on steps")))
                continue
            job.take(canvas, mine, own)
            job.going = [row for row, place in zip(own, mine, strict=True) if not facts[0][place]]
            (moved if job.going else ended).append(job)
        sound = {job for job in (*moved, *ended) if job.fresh or job in ended}
        keeping = [place for job in sound for place in places[job] if job.fresh or facts[0][place]]
        self.pages.keep(self.predictor, after, keeping)
        for job in sound:
            job.fresh = False
        for job, _ in failed:
            self.remove(job)
        stay = [place for place, (job, row) in enumerate(self.seats) if row in job.going and job not in ended]
        if len(stay) < len(self.seats):
            self.batch = self.batch.select(stay) if stay and self.batch is not None else None
            self.seats = [self.seats[place] for place in stay]
        return Step(moved + ended, ended, failed)


def joined(batches: Sequence[Batch]) -> Batch | None:
    """All as one, in order. Halves are joined first, so that a large batch is not copied for each that comes to it."""
    if len(batches) < 2:
        return batches[0] if batches else None
    first = 1 if len(batches[0]) > sum(map(len, batches[1:])) else len(batches) // 2
    one, other = joined(batches[:first]), joined(batches[first:])
    assert one is not None
    assert other is not None
    return one.join(other)


def _decided(canvas: Canvas) -> torch.Tensor:
    return (canvas.editable & ~canvas.pending).sum(-1)


def _first_cost(batch: Batch) -> int:
    """Rows of a first step: everything, for every copy."""
    return int(batch.canvas.valid.sum(-1).cpu().mul(batch.seats.copies).sum())
