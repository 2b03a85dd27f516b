"""The application: all endpoints on one engine, what operators ask of it, and the page."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from ..engine import Engine, Limits
from ..metrics import Metrics
from ..served import Served
from . import errors, openai, own
from .answers import ErrorAnswer
from .described import ERRORS, described, tidied
from .desk import Bounds, Desk
from .guard import Guard, digest

STALLED = 30.0
"""Seconds without a tick, while there is work, after which the engine counts as dead."""


@dataclass(frozen=True)
class Options:
    """How a server runs. `keys` are API keys (none: everyone may ask), `origins` the sites whose pages may.

    A body has `largest_body` bytes at most and is here within `body_seconds`.
    """

    limits: Limits = field(default_factory=Limits)
    bounds: Bounds = field(default_factory=Bounds)
    keys: Sequence[str] = ()
    origins: Sequence[str] = ()
    largest_body: int = 1 << 20
    body_seconds: float = 30.0
    drain_seconds: float = 30.0
    page: bool = True


@dataclass(eq=False)
class Health:
    """Whether the server can answer."""

    engine: Engine
    ready: bool = False
    failure: str = ""

    @property
    def alive(self) -> bool:
        """Whether the engine's thread is there, and goes on while there is work."""
        stalled = self.engine.busy and time.monotonic() - self.engine.counters.last_tick > STALLED
        return self.engine.alive and not stalled


@dataclass(eq=False)
class App:
    """The application, as ASGI, and its engine."""

    asgi: ASGIApp
    api: FastAPI
    engine: Engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.asgi(scope, receive, send)


def create_app(served: Served, options: Options | None = None) -> App:
    """The application. Its engine starts with it, and its first model is loaded and run once before `/readyz` is 200.

    At its end no request is taken any more, and those that are here are finished, for `drain_seconds`.
    """
    options = options or Options()
    engine = Engine(options.limits)
    health = Health(engine)
    metrics = Metrics(engine)
    desk = Desk(engine, served, options.bounds)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        engine.start()
        warm = asyncio.create_task(_warm(served, health))
        yield
        warm.cancel()
        await asyncio.to_thread(engine.stop, options.drain_seconds)

    app = FastAPI(
        title="undiffuse",
        version=metadata.version("undiffuse"),
        description="Diffusion language models over HTTP: OpenAI's endpoints, and those that fill, edit and check.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    errors.install(app)
    app.include_router(openai.router(desk))
    app.include_router(own.router(desk))
    _operate(app, health, metrics, served)

    @app.api_route("/v1/{rest:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
    async def nothing(rest: str) -> Any:
        raise HTTPException(404, f"there is no endpoint /v1/{rest} for this method: GET /openapi.json lists all")

    whole = app.openapi
    app.openapi = lambda: tidied(whole())  # type: ignore[method-assign]
    if options.page:
        folder = Path(str(resources.files("undiffuse.serve") / "web"))
        app.mount("/", StaticFiles(directory=folder, html=True), name="page")
    keys = [digest(key) for key in options.keys]
    guarded: ASGIApp = Guard(app, keys, options.largest_body, options.body_seconds, metrics.request)
    if options.origins:
        guarded = CORSMiddleware(guarded, allow_origins=list(options.origins), allow_methods=["*"], allow_headers=["*"])
    return App(guarded, app, engine)


async def _warm(served: Served, health: Health) -> None:
    """Load the default model, and run it once."""

    def run() -> None:
        _, model = served.get(None)
        token = model.predictor.process.vocabulary.predictable[0]
        import torch

        model.logits(torch.full((1, min(8, model.context)), token))

    try:
        await asyncio.to_thread(run)
        health.ready = True
    except Exception as error:  # it is said where operators look
        health.failure = str(error)


def _operator(path: str) -> dict[str, Any]:
    """What is said of an operators' endpoint; its error is its own answer with another status."""
    said = described(path, ())
    other = {"/healthz": 500, "/readyz": 503}.get(path)
    if other is not None:
        said["responses"][other] = {**said["responses"][200], "description": "It does not."}
    return said


def _operate(app: FastAPI, health: Health, metrics: Metrics, served: Served) -> None:
    """Endpoints for operators."""

    @app.get("/healthz", tags=["operation"], summary="Whether the engine is alive", **_operator("/healthz"))
    async def healthz() -> Any:
        return JSONResponse({"alive": health.alive}, 200 if health.alive else 500)

    @app.get("/readyz", tags=["operation"], summary="Whether requests would be answered now", **_operator("/readyz"))
    async def readyz() -> Any:
        ready = health.ready and health.alive and not health.engine.draining
        why = health.failure or ("draining" if health.engine.draining else "loading" if not health.ready else "")
        return JSONResponse({"ready": ready, **({"why": why} if why else {})}, 200 if ready else 503)

    @app.get(
        "/metrics",
        tags=["operation"],
        summary="Counters for Prometheus",
        response_class=PlainTextResponse,
        responses={401: {"model": ErrorAnswer, "description": ERRORS[401]}},
    )
    async def counters() -> Any:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/version", tags=["operation"], summary="The version, and the models", **_operator("/version"))
    async def version() -> Any:
        return {"undiffuse": metadata.version("undiffuse"), "models": list(served.places), "default": served.default}
