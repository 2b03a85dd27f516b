"""The engine: one thread that takes the steps of all jobs, and decides whose turn it is.

    waiting --admit--> running --step, step, …--> ended
       |                  |
       +---- cancel ------+

**Admission** is by what jobs need, not by how many there are: a job waits while its memory does not fit beside that of
the running ones, before which kept beginnings (`pages`) give way, and is turned away at once (`BusyError`) when the
work ahead of it, in rows of the network, is more than `queue` allows.

**Whose turn.** A tick takes one step of some jobs, about `rows` rows of the network together (a budget that is
measured, see `budget`): those of one predictor share their passes. A pass that a verb makes itself, as `score` and
`check` do and the search for lengths, is a step of it, which it takes alone: a pass beside others rounds otherwise, and
a likelihood is to be the one that the verb gives. Where all fit, all go. Where not, turns go round by deficit round
robin, counted in rows: every round each job is credited the same number of rows, and goes once its credit covers its
step. So a short request, whose steps are cheap, takes many while a long one takes few, and neither waits for the other
to end.

What a job is told depends on none of this: requests keep their own steps, windows and random keys.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..decode.demand import Denoise
from ..decode.evaluation import Evaluate
from ..errors import NotFiniteError, UserError
from .deck import Deck
from .job import Begun, Cancelled, Done, Failed, Job, Message, Stepped
from .pages import Pages

logger = logging.getLogger(__name__)


class BusyError(Exception):
    """There is more work ahead than the queue allows; `seconds` is when to come again, by the pace so far."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the server is busy: try again in {seconds:.0f} s")
        self.seconds = seconds


class DrainingError(Exception):
    """The engine takes no more jobs: it is about to end."""


class EngineFailedError(RuntimeError):
    """The engine broke, and with it whatever was in it."""


@dataclass(frozen=True)
class Limits:
    """`rows` of the network in a tick, `queue` rows of work that may wait, `memory` bytes of what runs."""

    rows: int = 1024
    queue: int = 50_000_000
    memory: int = 1 << 31

    @property
    def pages(self) -> int:
        """Bytes of what is kept for texts that begin alike, at most: where running jobs leave less, it is less."""
        return self.memory // 4


@dataclass(eq=False)
class Counters:
    """What the engine did since it began."""

    ticks: int = 0
    steps: int = 0
    rows: int = 0
    committed: int = 0
    nfe: int = 0
    ended: dict[str, int] = field(default_factory=dict)
    stepping: float = 0.0
    keeping: float = 0.0
    last_tick: float = field(default_factory=time.monotonic)
    tick_seconds: Callable[[float, int], None] | None = None


def is_refusal(error: BaseException) -> bool:
    """Whether an error says that what was asked cannot be, rather than that something broke."""
    return isinstance(error, UserError) and not isinstance(error, NotFiniteError)


def _cause(name: str, wanted: Mapping[str, str]) -> str:
    """Why a job is cancelled: by its own name, or by that of the request that it is a part of. Empty: it is not."""
    return wanted.get(name) or wanted.get(name.partition("/")[0], "")


class Engine:
    """Runs jobs on a thread of its own from `start` to `stop`. `submit` and `cancel` may be called from any thread."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.counters = Counters()
        self.failure: BaseException | None = None
        self.pages = Pages(self.limits.pages)
        self._waiting: deque[Job] = deque()
        self._decks: dict[int, Deck] = {}
        self._running: list[Job] = []
        self._cancelled: dict[str, str] = {}
        self._lock = threading.Condition()
        self._ahead = 0
        self._draining = False
        self._hurried = False
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="undiffuse engine", daemon=True)

    # from any thread

    def start(self) -> "Engine":
        self._thread.start()
        return self

    def submit(self, job: Job) -> None:
        """Take a job in. BusyError and DrainingError where it cannot be."""
        with self._lock:
            if self._draining or self._stopping or self.failure is not None:
                raise DrainingError("the server is about to end, and takes no more requests")
            if self._ahead and self._ahead + job.weight > self.limits.queue:
                raise BusyError(max(1.0, self._ahead / max(self.pace, 1.0)))
            self._ahead += job.weight
            self._waiting.append(job)
            self._lock.notify()

    def cancel(self, name: str, cause: str = "asked") -> None:
        """End a job at its next step, and those called NAME/…; one that has ended, or never was, is no error."""
        with self._lock:
            self._cancelled[name] = cause
            self._lock.notify()

    def drain(self) -> None:
        """Take no more jobs; those that are here go on."""
        with self._lock:
            self._draining = True

    def hurry(self) -> None:
        """Have what is here, and what a verb asks for later, filled by one evaluation each."""
        with self._lock:
            self._hurried = True

    def stop(self, timeout: float | None = None) -> bool:
        """Take no more jobs, finish those that are here within some seconds, and end; whether all were finished."""
        began = time.monotonic()
        self.drain()
        while self.busy and self.alive and (timeout is None or time.monotonic() - began < timeout):
            time.sleep(0.02)
        finished = not self.busy
        with self._lock:
            self._stopping = True
            self._lock.notify()
        if self._thread.is_alive():
            self._thread.join()
        return finished

    @property
    def alive(self) -> bool:
        """Whether the thread is there, and did not fail."""
        return self._thread.is_alive() and self.failure is None

    @property
    def busy(self) -> bool:
        """Whether any job is here."""
        with self._lock:
            return bool(self._waiting or self._running)

    @property
    def draining(self) -> bool:
        return self._draining

    @property
    def pace(self) -> float:
        """Rows of the network a second, while there was work."""
        return self.counters.rows / self.counters.stepping if self.counters.stepping else 10_000.0

    @property
    def queued(self) -> tuple[int, int, int]:
        """Jobs that wait, jobs that run, and rows of work ahead."""
        with self._lock:
            return len(self._waiting), len(self._running), self._ahead

    # on the engine's thread

    def _run(self) -> None:
        try:
            while True:
                with self._lock:
                    while not (self._waiting or self._running or self._stopping):
                        self._cancelled.clear()
                        self._lock.wait()
                    if self._stopping:
                        break
                self._tick()
            self._end_all()
        except BaseException as error:
            with self._lock:  # whoever comes later is turned away, and nobody is left waiting
                self.failure = error
            logger.exception("the engine failed")
            failed = EngineFailedError("the engine failed")
            failed.__cause__ = error
            self._end_all(failed)

    def _end_all(self, error: Exception | None = None) -> None:
        with self._lock:
            left = [*self._running, *self._waiting]
            self._running, self._waiting, self._ahead = [], deque(), 0
        for job in left:
            self._tell(job, Cancelled("shutdown") if error is None else Failed(error))

    def _tick(self) -> None:
        began = time.perf_counter()
        self._take_back()
        if self._hurried:
            for deck in self._decks.values():
                deck.hurry()
        self._admit()
        jobs = self._choose()
        rows = sum(job.work.rows for job in jobs)
        evaluating = [job for job in jobs if job.evaluates]
        decks = [(deck, [job for job in jobs if job in deck.jobs]) for deck in self._decks.values()]
        stepping = sum(self._step(deck, some) for deck, some in decks) + sum(map(self._evaluate, evaluating))
        if jobs:
            rows = sum(job.work.rows for job in jobs) - rows
            self.counters.rows += rows
            self.counters.steps += len(jobs)
            self.counters.stepping += stepping
            if self.counters.tick_seconds is not None:
                self.counters.tick_seconds(stepping, rows)
        self.counters.ticks += 1
        self.counters.keeping += time.perf_counter() - began - stepping
        self.counters.last_tick = time.monotonic()

    def _step(self, deck: Deck, jobs: list[Job]) -> float:
        """A step of some jobs of a deck; its seconds."""
        if not jobs:
            return 0.0
        deck.seat(jobs)
        at = time.perf_counter()
        done = deck.step()
        seconds = time.perf_counter() - at
        for job, error in done.failed:
            self._ended(job, Failed(error))
        for job in done.moved:
            self._reply(deck, job, job in done.ended)
        return seconds

    def _evaluate(self, job: Job) -> float:
        """The pass that a verb waits for, and what it makes of it until it wants another; its seconds."""
        job.evaluates = False
        job.work.rows += job.cost
        at = time.perf_counter()
        try:
            self._advance(job, None)
        except BaseException as error:  # of the verb: it is the job's
            self._fail(job, error)
        return time.perf_counter() - at

    def _take_back(self) -> None:
        with self._lock:
            wanted, self._cancelled = self._cancelled, {}
            if not wanted:
                return
            causes = {job: _cause(job.name, wanted) for job in (*self._waiting, *self._running)}
            gone = [job for job in self._waiting if causes[job]]
            for job in gone:
                self._waiting.remove(job)
                self._ahead -= job.weight
        for job in gone:
            self._count("cancelled")
            self._tell(job, Cancelled(causes[job]))
        for job in [job for job in self._running if causes[job]]:
            self._leave(job)
            self._ended(job, Cancelled(causes[job]))

    def _admit(self) -> None:
        self._take_in()
        used = sum(job.memory for job in self._running)
        self.pages.shrink(max(min(self.limits.pages, self.limits.memory - used), 0))

    def _take_in(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    return
                job = self._waiting[0]
                used = sum(other.memory for other in self._running)
                if self._running and used + job.memory > self.limits.memory:
                    return
                self._waiting.popleft()
                self._running.append(job)
            try:
                job.verb = job.make(time.monotonic() - job.arrived)
                self._advance(job, None)
            except BaseException as error:  # of the verb: it is the job's
                self._fail(job, error)

    def _advance(self, job: Job, reply: object) -> None:
        """Send a verb what it waits for, and give it what it wants next, until it wants a step, or ends."""
        assert job.verb is not None
        try:
            demand = job.verb.send(reply)  # type: ignore[arg-type]
        except StopIteration as stop:
            self._leave(job)
            self._ended(job, Done(stop.value))
            return
        if isinstance(demand, Evaluate):
            job.evaluates, job.cost = True, demand.rows
            return
        if not isinstance(demand, Denoise):
            return
        deck = self._decks.setdefault(id(demand.predictor), Deck(demand.predictor, self.pages, hurried=self._hurried))
        self._leave(job, but=deck)
        first = job.part < 0
        deck.add(job, demand)
        if first:
            self._tell(job, Begun())
        self._show(job)
        self._send(job, deck)

    def _send(self, job: Job, deck: Deck) -> None:
        """The canvas as it begins; what has nothing pending has ended with it."""
        assert job.canvas is not None
        self._advance(job, job.canvas)
        if job in deck.jobs and bool(job.canvas.done.all()):
            deck.remove(job)
            self._advance(job, None)

    def _reply(self, deck: Deck, job: Job, ended: bool) -> None:
        try:
            self._show(job)
            if ended:
                deck.remove(job)
            self._advance(job, job.canvas)
            if ended:
                self._advance(job, None)
        except BaseException as error:
            self._fail(job, error)

    def _show(self, job: Job) -> None:
        if job.watch is not None and job.canvas is not None:
            told = job.watch(job.canvas, job.part)
            if told is not None:
                self._tell(job, Stepped(told))

    def _choose(self) -> list[Job]:
        """The jobs that take a step."""
        self._decks = {key: deck for key, deck in self._decks.items() if deck.jobs}
        jobs = [job for job in self._running if job.evaluates]
        jobs += [job for deck in self._decks.values() for job in deck.jobs]
        if sum(job.cost for job in jobs) <= self.limits.rows:
            for job in jobs:
                job.credit = 0.0
            return jobs
        return self._by_deficit(jobs)

    def _by_deficit(self, jobs: list[Job]) -> list[Job]:
        """Who goes where not all can: each round credits all alike, and those go whose credit covers their step.

        Cheap steps first, and dearer ones while there is room, of which the last may take more than there is: so the
        cheap ones do not wait for the dear, and a step that is dearer than a whole tick is taken too. Nobody saves up
        more than a step costs.
        """
        share = self.limits.rows / len(jobs)
        chosen: list[Job] = []
        room = float(self.limits.rows)
        for job in jobs:
            job.credit = min(job.credit, float(job.cost)) + share
        for job in sorted(jobs, key=lambda job: job.cost):
            if job.credit >= job.cost and room > 0:
                chosen.append(job)
                job.credit -= job.cost
                room -= job.cost
        if not chosen:  # the nearest goes, and owes the rest
            job = min(jobs, key=lambda job: job.cost - job.credit)
            job.credit -= job.cost
            chosen = [job]
        return chosen

    def _leave(self, job: Job, but: Deck | None = None) -> None:
        for deck in self._decks.values():
            if deck is not but:
                deck.remove(job)

    def _fail(self, job: Job, error: BaseException) -> None:
        self._leave(job)
        self._ended(job, Failed(error))

    def _ended(self, job: Job, message: Message) -> None:
        with self._lock:
            if job not in self._running:
                return
            self._running.remove(job)
            self._ahead -= job.weight
        if job.verb is not None:
            job.verb.close()
        self.counters.nfe += job.work.nfe
        self.counters.committed += job.work.committed
        if isinstance(message, Failed):
            self._count("refused" if is_refusal(message.error) else "failed")
        else:
            self._count("cancelled" if isinstance(message, Cancelled) else "done")
        self._tell(job, message)

    def _count(self, how: str) -> None:
        self.counters.ended[how] = self.counters.ended.get(how, 0) + 1

    def _tell(self, job: Job, message: Message) -> None:
        try:
            job.tell(message)
        except Exception:  # whoever waited is gone; the others are not to suffer
            logger.exception("job %s could not be told", job.name)
