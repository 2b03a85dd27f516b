"""Server-sent events."""

import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from sse_starlette.sse import EventSourceResponse, SendTimeoutError
from starlette.types import Receive, Scope, Send

from .desk import Bounds
from .errors import body_of

logger = logging.getLogger(__name__)


class _Stream(EventSourceResponse):
    """A stream that says when it is over, even where its client left before a line was made."""

    over: Callable[[], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        except SendTimeoutError:  # the server sees an answer without an end, and closes the connection
            logger.warning("%s: its reader was too slow, and is dropped", scope["state"]["request_id"])
        finally:
            self.over()


def events(chunks: AsyncIterator[Any], over: Callable[[], None], bounds: Bounds) -> EventSourceResponse:
    """Objects as a stream that OpenAI's clients read: a `data:` line each, `[DONE]` at the end, an error before it.

    `over` is called at the end, whoever ended it. When the server is told to end, a stream goes on until the engine has
    finished it.
    """

    async def lines() -> AsyncIterator[dict[str, str]]:
        try:
            async for chunk in chunks:
                yield {"data": json.dumps(chunk, ensure_ascii=False, separators=(",", ":"))}
        except Exception as error:
            yield {"data": json.dumps(body_of(error))}
        yield {"data": "[DONE]"}

    found = _Stream(
        lines(),
        send_timeout=bounds.reader_seconds,
        shutdown_grace_period=bounds.seconds,
        ping=15,
        headers={"Cache-Control": "no-store"},
    )
    found.over = over
    return found
