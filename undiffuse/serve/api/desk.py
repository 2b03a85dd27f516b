"""Between requests and the engine: every request becomes a job, waited for until it ends or its client is gone."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request

from ...language_model import LanguageModel
from ..budget import memory_of
from ..engine import Engine
from ..following import Follower, Told, merge
from ..job import Begun, Cancelled, Done, Failed, Job, Stepped
from ..mailbox import Mailbox
from ..served import Served
from .calls import Made
from .errors import ClientGoneError, EndedError, TooLargeError

GONE = 0.2
"""Seconds between looks whether a client is still there."""
READER = 30.0
"""Seconds that a chunk may take to be sent before its reader is dropped."""


@dataclass(frozen=True)
class Bounds:
    """What one request may ask: characters of text, tokens written, seconds until its end, and for a chunk of it to be
    taken by its reader."""

    characters: int = 200_000
    tokens: int = 8192
    seconds: float = 600.0
    reader_seconds: float = READER


@dataclass(frozen=True, eq=False)
class Size:
    """How much a request is: characters of its text, tokens that it writes, how often."""

    characters: int
    tokens: int
    copies: int = 1


@dataclass(eq=False)
class Desk:
    """Takes requests to the engine."""

    engine: Engine
    served: Served
    bounds: Bounds = field(default_factory=Bounds)
    began: int = field(default_factory=lambda: int(time.time()))

    async def model(self, name: str | None) -> tuple[str, LanguageModel]:
        """A model by name, loaded beside the event loop."""
        known = name or self.served.default
        if known in self.served.loaded:
            return self.served.get(known)
        return await asyncio.to_thread(self.served.get, name)

    def job(
        self, model: LanguageModel, name: str, make: Made, size: Size, follower: Follower | None = None
    ) -> tuple[Job, Mailbox]:
        """Hand in a job. TooLargeError beyond the bounds, BusyError and DrainingError by the engine."""
        bounds = self.bounds
        if size.characters > bounds.characters:
            raise TooLargeError(
                f"a request may have {bounds.characters} characters of text, and this one has {size.characters}"
            )
        if size.tokens * size.copies > bounds.tokens:
            raise TooLargeError(
                f"a request may write {bounds.tokens} tokens, and this one asks for {size.tokens * size.copies}"
            )
        mailbox = Mailbox(merge)
        positions = min(size.characters // 3 + size.tokens, model.context)
        weight = max(1, positions * size.tokens * size.copies)
        memory = memory_of(model, size.copies, positions)
        job = Job(name, make, mailbox.put, follower, weight, memory)
        self.engine.submit(job)
        return job, mailbox

    async def result(self, request: Request, job: Job, mailbox: Mailbox) -> Any:
        """What a job gives. Its error is raised; a client that leaves, and time that runs out, end it."""
        waiting = asyncio.ensure_future(mailbox.last())
        try:
            for _ in range(round(self.bounds.seconds / GONE)):
                done, _ = await asyncio.wait({waiting}, timeout=GONE)
                if done:
                    return _value(waiting.result())
                if await request.is_disconnected():
                    self.engine.cancel(job.name, "client gone")
                    raise ClientGoneError
            self.engine.cancel(job.name, "timeout")
            return _value(await waiting)
        finally:
            waiting.cancel()

    async def steps(self, job: Job, mailbox: Mailbox) -> AsyncIterator[Told | Done]:
        """What a job is told on its way, and at last its end. Whoever stops listening ends it."""
        ended = False
        try:
            deadline = asyncio.get_running_loop().time() + self.bounds.seconds
            while True:
                left = deadline - asyncio.get_running_loop().time()
                try:
                    message = await asyncio.wait_for(mailbox.get(), max(left, 0.01))
                except TimeoutError:
                    self.engine.cancel(job.name, "timeout")
                    deadline += 60
                    continue
                if isinstance(message, Stepped):
                    yield message.told
                elif not isinstance(message, Begun):
                    ended = True
                    _value(message)
                    assert isinstance(message, Done)
                    yield message
                    return
        finally:
            if not ended:
                self.engine.cancel(job.name, "client gone")

    def cancel(self, jobs: Iterable[Job]) -> None:
        """Nobody waits for these any more; those that have ended are no error."""
        for job in jobs:
            self.engine.cancel(job.name, "client gone")

    async def begun(self, request: Request, mailbox: Mailbox) -> None:
        """Until a job was admitted; its error is raised, so that a stream that cannot begin is an error like others.

        ClientGoneError where the client leaves while its job waits.
        """
        waiting = asyncio.ensure_future(mailbox.get())
        try:
            while not (await asyncio.wait({waiting}, timeout=GONE))[0]:
                if await request.is_disconnected():
                    raise ClientGoneError
            message = waiting.result()
        finally:
            waiting.cancel()
        if not isinstance(message, Begun):
            _value(message)
            mailbox.give_back(message)


def _value(message: Done | Failed | Cancelled | Any) -> Any:
    if isinstance(message, Failed):
        raise message.error
    if isinstance(message, Cancelled):
        raise EndedError(message.cause)
    return message.result if isinstance(message, Done) else None
