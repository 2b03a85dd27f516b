"""`undiffuse serve` with meters: the real command, in whose process clocks run beside the engine and the event loop.

python -m benchmarks.serve.server DIR [options of undiffuse serve]
"""

import asyncio
import json
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from undiffuse.cli.main import main
from undiffuse.serve import command, deck
from undiffuse.serve.api import app as application
from undiffuse.serve.api import sse

from .policies import SYSTEMS, Scheduled

BEAT = 0.005
"""Seconds between two beats of the event loop's heart."""


class Meters:
    """Where the engine's time goes (seconds), and by how much the event loop is late."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.spent = dict.fromkeys(("network", "step", "tick", "verbs", "telling", "json"), 0.0)
        self.late: list[float] = []
        self.jobs: list[int] = []
        self.began, self.loop_cpu = time.perf_counter(), 0.0

    def clocked(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, whose time is added up; what the network took in it is the network's."""

        def run(*arguments: Any, **more: Any) -> Any:
            began, network = time.perf_counter(), self.spent["network"]
            try:
                return function(*arguments, **more)
            finally:
                network = self.spent["network"] - network
                self.spent[name] += time.perf_counter() - began - network

        return run

    async def beat(self) -> None:
        """How late the event loop wakes whoever waits for a moment."""
        while True:
            began, cpu = time.perf_counter(), time.thread_time()
            await asyncio.sleep(BEAT)
            self.late.append(time.perf_counter() - began - BEAT)
            self.loop_cpu += time.thread_time() - cpu

    def read(self) -> dict[str, Any]:
        """Everything since the last reset."""
        return {
            **self.spent,
            "wall": time.perf_counter() - self.began,
            "loop_cpu": self.loop_cpu,
            "late": sorted(self.late),
            "ticks": len(self.jobs),
            "jobs_per_tick": sum(self.jobs) / max(len(self.jobs), 1),
        }


class Metered(Scheduled):
    """The engine with clocks."""

    meters: Meters

    def _tick(self) -> None:
        self.meters.clocked("tick", super()._tick)()

    def _choose(self) -> list[Any]:
        chosen = super()._choose()
        if chosen:
            self.meters.jobs.append(len(chosen))
        return chosen

    def submit(self, job: Any) -> None:
        made = job.make
        job.make = lambda seconds: _Verb(made(seconds), self.meters)
        super().submit(job)

    def _show(self, job: Any) -> None:
        self.meters.clocked("telling", super()._show)(job)


def metered(meters: Meters) -> None:
    """Put the clocks in, and the ways to read them and to exchange the scheduler."""
    Metered.meters = meters
    application.Engine = Metered  # type: ignore[misc]
    deck.step = meters.clocked("step", deck.step)
    sse.json = _Json(meters)  # type: ignore[assignment]
    made, loaded = command.create_app, command._load

    def create_app(*arguments: Any) -> application.App:
        app = made(*arguments)
        _endpoints(app, meters)
        return app

    def load(*arguments: Any) -> Any:
        model = loaded(*arguments)
        network = model.predictor.denoiser
        for part in ("trunk", "head"):
            setattr(network, part, meters.clocked("network", getattr(network, part)))
        return model

    command.create_app, command._load = create_app, load


class _Verb:
    """A verb whose time is added up."""

    def __init__(self, verb: Any, meters: Meters) -> None:
        self.send = meters.clocked("verbs", verb.send)
        self.close = verb.close


class _Json:
    """The module json for streams, whose time is added up."""

    def __init__(self, meters: Meters) -> None:
        self.dumps = meters.clocked("json", json.dumps)


def _endpoints(app: application.App, meters: Meters) -> None:
    engine = app.engine
    assert isinstance(engine, Scheduled)
    inner = app.api.router.lifespan_context

    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        beating = asyncio.create_task(meters.beat())
        async with inner(api):
            yield
        beating.cancel()

    app.api.router.lifespan_context = lifespan

    @app.api.post("/load/{system}")
    async def begin(system: str) -> Any:
        """Exchange the scheduler, and begin to measure; only while nothing runs."""
        assert system in SYSTEMS
        while engine.busy:
            await asyncio.sleep(0.01)
        engine.system = system
        engine.counters.ended.clear()
        meters.reset()
        return {"threads": threading.active_count(), "rows": engine.limits.rows}

    @app.api.get("/load/queued")
    async def queued() -> Any:
        return engine.queued

    @app.api.get("/load")
    async def read() -> Any:
        found = meters.read()
        return {**found, "ended": dict(engine.counters.ended), "queued": engine.queued}


if __name__ == "__main__":
    metered(Meters())
    sys.argv = ["undiffuse", "serve", "--model", sys.argv[1], "--no-page", *sys.argv[2:]]
    main()
