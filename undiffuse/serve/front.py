"""The front of several replicas: every request goes to one of them, and to another where that one is lost.

    client -- guard -- front --ask--> replica: the application of `undiffuse serve`, with an engine of its own
                         |
                         +--again---> another one, where the first was lost before its answer was sent

An answer that does not stream is sent when it is whole, so that one whose replica was lost is simply asked for again.
A stream goes on from where it broke off (see `replay`). What is asked for again gives the same, since every request
has a seed; `deadline_ms` begins anew.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from .api.app import Options
from .api.errors import body
from .api.guard import Guard, digest
from .metrics import Requests
from .replay import DONE, DifferentError, Replay, event

TRIES = 4
"""Replicas that a request is sent to until it is given up: what breaks one should not break all, one by one."""
SLOW = 30.0
"""Seconds that a piece may take to be sent before its reader is dropped."""
logger = logging.getLogger(__name__)


class LostError(Exception):
    """A replica went away, or broke, before its answer was whole."""


@dataclass(frozen=True)
class Asked:
    """A request, as replicas are sent it. `name` is its id, by which it is cancelled."""

    name: str
    method: str
    path: str
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


@dataclass(frozen=True)
class Begin:
    """How an answer begins; its body comes after it, in pieces."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]

    @property
    def streams(self) -> bool:
        return Headers(raw=list(self.headers)).get("content-type", "").startswith("text/event-stream")


class Replicas(Protocol):
    """Where requests go."""

    def ask(self, asked: Asked) -> AsyncGenerator[Begin | bytes, None]:
        """An answer from one of the replicas. LostError where it is lost; closing it ends the request."""

    async def cancel(self, names: Sequence[str]) -> None:
        """Have every replica end requests."""

    async def running(self) -> int:
        """How many there are."""

    async def metrics(self) -> Mapping[str, str]:
        """What each of them counted, in the words of Prometheus."""


@dataclass(eq=False)
class Front:
    """ASGI application."""

    replicas: Replicas
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self._lost = Counter(
            "undiffuse_lost_replies", "Answers whose replica was lost before they were whole.", registry=self.registry
        )
        self._given_up = Counter(
            "undiffuse_given_up", "Requests that no replica could answer to the end.", registry=self.registry
        )
        self._count = Gauge("undiffuse_replicas", "Replicas that run.", registry=self.registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await _lifespan(receive, send)
        if scope["type"] != "http":
            return None
        try:
            data = await _body(receive)
        except HTTPException as error:  # of the guard: the body is too large, or too slow
            said = body(error.detail, "invalid_request_error")
            return await JSONResponse(said, error.status_code, error.headers)(scope, receive, send)
        if data is None:
            return None
        own = await self._own(scope["method"], scope["path"])
        if own is not None:
            return await own(scope, receive, send)
        name = scope.get("state", {}).get("request_id", "")
        asked = Asked(name, scope["method"], scope["path"], scope["query_string"], list(scope["headers"]), data)
        answering = asyncio.ensure_future(self._answer(asked, send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answering.result()
        except TimeoutError:
            logger.warning("%s was dropped, since its reader took nothing for %.0f s", name, SLOW)
        finally:
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
        return None

    async def _own(self, method: str, path: str) -> Response | None:
        """What the front answers itself; None for everything else."""
        if method == "POST" and path.startswith("/v1/cancel/"):
            name = path.removeprefix("/v1/cancel/")
            await self.replicas.cancel([_name(name, number) for number in range(TRIES)])
            return JSONResponse({"id": name, "cancelled": True})
        if method != "GET" or path not in ("/healthz", "/readyz", "/metrics"):
            return None
        count = await self.replicas.running()
        if path == "/healthz":
            return JSONResponse({"alive": count > 0, "replicas": count}, 200 if count else 500)
        if path == "/readyz":
            why = {} if count else {"why": "no replica runs"}
            return JSONResponse({"ready": count > 0, "replicas": count, **why}, 200 if count else 503)
        self._count.set(count)
        return Response(
            together(generate_latest(self.registry).decode(), await self.replicas.metrics()),
            media_type=CONTENT_TYPE_LATEST,
        )

    async def _answer(self, asked: Asked, send: Send) -> None:
        replay, begun = Replay(), False
        for number in range(TRIES):
            replay.again()
            answer = self.replicas.ask(replace(asked, name=_name(asked.name, number)))
            try:
                first = await anext(answer)
                assert isinstance(first, Begin)
                if not first.streams:
                    pieces = [piece async for piece in answer if isinstance(piece, bytes)]
                    return await _send_whole(send, first, b"".join(pieces), begun)
                if not begun:
                    await _send(send, {"type": "http.response.start", **_named(first)})
                    begun = True
                async for piece in answer:
                    assert isinstance(piece, bytes)
                    for ready in replay.feed(piece):
                        await _send(send, {"type": "http.response.body", "body": ready, "more_body": True})
                return await _send(send, {"type": "http.response.body", "body": b""})
            except LostError as error:
                self._lost.inc()
                logger.warning("%s lost its replica, try %d of %d: %s", asked.name, number + 1, TRIES, error)
                if replay.over:
                    return await _send(send, {"type": "http.response.body", "body": b""})
            except DifferentError:
                message = "the replica of this stream was lost, and another one made another text: ask again"
                return await self._give_up(send, message, begun)
            finally:
                await answer.aclose()
        return await self._give_up(send, f"{TRIES} replicas were lost while they answered this request", begun)

    async def _give_up(self, send: Send, message: str, begun: bool) -> None:
        self._given_up.inc()
        content = body(message, "server_error", "lost")
        if begun:
            await _send(send, {"type": "http.response.body", "body": event(content) + DONE})
            return
        response = JSONResponse(content, 503)
        await _send_whole(send, Begin(503, response.raw_headers), bytes(response.body), begun)


def create_front(replicas: Replicas, options: Options) -> ASGIApp:
    """The front behind the guard of a server: its keys, bounds on bodies, and the sites whose pages may ask."""
    front = Front(replicas)
    keys = [digest(key) for key in options.keys]
    guarded: ASGIApp = Guard(front, keys, options.largest_body, options.body_seconds, Requests(front.registry))
    if options.origins:
        guarded = CORSMiddleware(guarded, allow_origins=list(options.origins), allow_methods=["*"], allow_headers=["*"])
    return guarded


def together(front: str, replicas: Mapping[str, str]) -> bytes:
    """Counters of the front, and those of replicas, each with a label that says whose it is."""
    families: dict[str, Metric] = {}
    for family in text_string_to_metric_families(front):
        families[family.name] = family
    for name, text in replicas.items():
        for family in text_string_to_metric_families(text):
            if family.samples:
                mine = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                mine.samples += [
                    sample._replace(labels={**sample.labels, "replica": name}) for sample in family.samples
                ]

    class Collected:
        def collect(self) -> list[Metric]:
            return list(families.values())

    registry = CollectorRegistry()
    registry.register(Collected())
    return generate_latest(registry)


def _name(name: str, number: int) -> str:
    """The id of a try. Each has its own, or a replica that is asked again would still end the one it knew."""
    return f"{name}.{number}" if number else name


def _named(begin: Begin) -> dict[str, Any]:
    return {"status": begin.status, "headers": list(begin.headers)}


async def _send(send: Send, message: dict[str, Any]) -> None:
    async with asyncio.timeout(SLOW):
        await send(message)


async def _send_whole(send: Send, begin: Begin, data: bytes, begun: bool) -> None:
    if begun:  # a stream that another replica refuses to take up: what it says is its end
        await _send(send, {"type": "http.response.body", "body": b"data: " + data + b"\r\n\r\n" + DONE})
        return
    await _send(send, {"type": "http.response.start", **_named(begin)})
    await _send(send, {"type": "http.response.body", "body": data})


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where its client left before."""
    data = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        data += message.get("body", b"")
        if not message.get("more_body"):
            return data


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _lifespan(receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
