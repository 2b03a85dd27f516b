"""`undiffuse serve` behind its options: load, measure, listen, and end in order."""

import asyncio
import shlex
import signal
import socket
import sys
import time
import webbrowser
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import torch
import uvicorn
from starlette.types import ASGIApp

from ..device import AUTO
from ..errors import UserError
from ..language_model import LanguageModel, find, load
from ..language_model.memory import available
from ..language_model.named import Found
from ..language_model.number_formats import number_format
from .api.app import App, Options, create_app
from .api.desk import READER
from .budget import measured_rows
from .engine import Engine, Limits
from .served import Served

FAILED = 2
"""Seconds in which the clients of an engine that failed are told so."""


@dataclass(frozen=True)
class Settings:
    """What the command line says."""

    models: tuple[str, ...]
    host: str
    port: int
    open_page: bool
    keys: tuple[str, ...]
    origins: tuple[str, ...]
    rows: int | None
    memory: float | None
    drain: float
    page: bool
    device: str | None
    dtype: str | None
    threads: int | None
    plugins: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Opened:
    """What is served: the application, and what is said of its default model."""

    app: App
    name: str
    rows: int
    fills: bool


def run(settings: Settings) -> None:
    """Serve until told to stop. UserError for what cannot be loaded, or where nobody can listen."""
    socket_ = listen(settings.host, settings.port)
    found = opened(settings)
    address = f"http://{shown(settings.host)}:{socket_.getsockname()[1]}"
    say(address, found.name, found.fills, f"steps of {found.rows} rows", settings)
    code = answer_at(socket_, found.app, settings.drain, found.app.engine)
    if code:
        sys.exit(code)


def answer_at(socket_: socket.socket, app: ASGIApp, drain: float, engine: Engine | None) -> int:
    """Answer until told to stop or the engine fails, and finish what is here for `drain` seconds; the exit code."""
    patience = max(1, round(drain))
    config = uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=patience)
    before = signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn's own takes its place, and gives it back
    try:
        return asyncio.run(_serve(uvicorn.Server(config), socket_, engine, drain))
    finally:
        signal.signal(signal.SIGTERM, before)


def opened(settings: Settings, share: float = 1.0) -> Opened:
    """The application, with its default model loaded and measured. UserError for what cannot be loaded.

    `share` is the part of the free memory that is its own, where others are served on the same machine.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    served = Served(places(settings.models), lambda place: _load(place, settings))
    name, model = served.get(None)
    rows = settings.rows or measured_rows(model)
    free = available(model.device)
    memory = int(settings.memory * 1e9) if settings.memory else max(int((free or 4 << 30) * share) // 2, 1 << 28)
    options = Options(
        limits=Limits(rows=rows, memory=memory),
        keys=settings.keys,
        origins=settings.origins,
        drain_seconds=settings.drain,
        page=settings.page,
    )
    fills = model.predictor.traits.block_length is None  # a causal model ranks what it finds from the left
    return Opened(create_app(served, options), name, rows, fills)


async def _serve(server: uvicorn.Server, listening: socket.socket, engine: Engine | None, drain: float) -> int:
    """The exit code: 1 where the engine failed, which ends the server. Told to end, it finishes what is here for half
    of `drain` seconds, and fills what is left then. Without an engine (replicas have theirs) nothing is filled."""
    running = asyncio.create_task(server.serve(sockets=[listening]))
    told: float | None = None
    while not running.done():
        await asyncio.wait({running}, timeout=0.1)
        if engine is not None and engine.failure is not None:
            server.should_exit, server.config.timeout_graceful_shutdown = True, FAILED
        if engine is not None and server.should_exit and told is None:
            engine.drain()
            told = time.monotonic()
        if engine is not None and told is not None and time.monotonic() - told > drain / 2:
            engine.hurry()
    running.result()
    return 0 if engine is None or engine.failure is None else 1


def places(models: tuple[str, ...]) -> dict[str, Found]:
    """A name for each model: its own, or that of its directory or file. Without any, the one that all verbs take."""
    found: dict[str, Found] = {}
    for model in models or (None,):
        place = find(model)
        if place.note:
            print(place.note, file=sys.stderr)
        name = place.name if "/" not in place.name or not place.place.exists() else Path(place.name).name
        name = name.removesuffix(".gguf")
        if name in found:
            raise UserError(f"two models are called {name!r}: rename one of their directories")
        found[name] = place
    return found


def _load(place: Found, settings: Settings) -> LanguageModel:
    device = AUTO if settings.device is None else settings.device
    return load(place, device=device, dtype=number_format(settings.dtype), plugins=settings.plugins)


def listen(host: str, port: int) -> socket.socket:
    """A socket, before anything is loaded. UserError where it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        found = socket.socket(family, kind, protocol)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # or who neither reads nor leaves keeps what was not sent
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1000 * READER))
        found.bind(address)
        found.listen(128)
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError(f"nobody can listen at {host}:{port} ({why}): choose another --port, or 0 for any") from error
    return found


def shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def say(address: str, name: str, fills: bool, how: str, settings: Settings) -> None:
    """The address, the model, and commands that work; and the page is opened, where that was asked."""
    key = " -H 'Authorization: Bearer KEY'" if settings.keys else ""
    body = " -H 'Content-Type: application/json' -d "
    fill = shlex.quote('{"text": "The [MASK] of it."}')
    lines = [
        f"undiffuse serves {name} at {address}" + ("" if not settings.page else "  (open it in a browser)"),
        f"{how}; stop with Ctrl-C",
        *([f"curl {address}/v1/fill{key}{body}{fill}"] if fills else []),
        f"curl {address}/v1/completions{key}{body}" + shlex.quote('{"prompt": "The ", "max_tokens": 8}'),
        f"curl {address}/v1/models{key}",
    ]
    if not _local(settings.host) and not settings.keys:
        lines.insert(1, "warning: anyone who reaches this address may use it: set --api-keys FILE")
    print("\n".join(lines), file=sys.stderr, flush=True)
    if settings.open_page:
        webbrowser.open(address)
