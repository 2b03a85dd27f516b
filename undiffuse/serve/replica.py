"""A replica: the application of `undiffuse serve` without a socket, asked by a front in another process."""

import asyncio
import json
from collections.abc import AsyncGenerator, MutableMapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from .api.app import App
from .front import Asked, Begin, LostError


class Replica:
    """Answers what a front asks. To be used within the event loop on which it was started."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._stack = AsyncExitStack()

    async def start(self) -> None:
        """Start the engine, and wait until the model was run once. RuntimeError where it cannot be."""
        await self._stack.enter_async_context(self._app.api.router.lifespan_context(self._app.api))
        while True:
            status, data = await self.ask("/readyz")
            if status == 200:
                return
            if (why := json.loads(data).get("why", "the engine failed")) != "loading":
                raise RuntimeError(why)
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Finish what runs, and end."""
        await self._stack.aclose()

    async def answer(self, asked: Asked) -> AsyncGenerator[Begin | bytes, None]:
        """What the application answers, in pieces. LostError once the engine has failed: nothing it says counts.

        Whoever closes this is a client that has left.
        """
        pieces: asyncio.Queue[Begin | bytes | None] = asyncio.Queue()
        body, left = [asked.body], asyncio.Event()

        async def receive() -> MutableMapping[str, Any]:
            if body:
                return {"type": "http.request", "body": body.pop(), "more_body": False}
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                await pieces.put(Begin(message["status"], [(bytes(k), bytes(v)) for k, v in message["headers"]]))
            elif message.get("body"):
                await pieces.put(bytes(message["body"]))

        async def run() -> None:
            try:
                await self._app.api(_scope(asked), receive, send)
            finally:
                await pieces.put(None)

        running = asyncio.ensure_future(run())
        try:
            while (piece := await pieces.get()) is not None:
                if self._app.engine.failure is not None:
                    raise LostError("the engine of the replica failed")
                yield piece
        finally:
            left.set()
            await asyncio.gather(asyncio.wait_for(running, 5.0), return_exceptions=True)

    async def ask(self, path: str) -> tuple[int, bytes]:
        """The status and the body of a GET."""
        status, data = 500, b""
        async for piece in self.answer(Asked("", "GET", path, b"", (), b"")):
            if isinstance(piece, Begin):
                status = piece.status
            else:
                data += piece
        return status, data

    def cancel(self, names: Sequence[str]) -> None:
        """End requests."""
        for name in names:
            self._app.engine.cancel(name, "cancelled")

    def seconds_ahead(self) -> float:
        """Seconds of work ahead, as estimated, at the pace so far."""
        engine = self._app.engine
        return engine.queued[2] / max(engine.pace, 1.0)


def _scope(asked: Asked) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "method": asked.method,
        "path": asked.path,
        "raw_path": asked.path.encode(),
        "root_path": "",
        "query_string": asked.query,
        "headers": list(asked.headers),
        "client": None,
        "server": None,
        "state": {"request_id": asked.name},
    }
