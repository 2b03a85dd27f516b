"""Server-sent events."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from sse_starlette.sse import EventSourceResponse
from starlette.types import Receive, Scope, Send

from .errors import body_of

SLOW = 30.0
"""Seconds that a chunk may take to be sent before its reader is dropped."""


class _Stream(EventSourceResponse):
    """A stream that says when it is over, even where its client left before a line was made."""

    over: Callable[[], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.over()


def events(chunks: AsyncIterator[Any], over: Callable[[], None]) -> EventSourceResponse:
    """Objects as a stream that OpenAI's clients read: a `data:` line each, `[DONE]` at the end, an error before it.

    `over` is called at the end, whoever ended it.
    """

    async def lines() -> AsyncIterator[dict[str, str]]:
        try:
            async for chunk in chunks:
                yield {"data": json.dumps(chunk, ensure_ascii=False, separators=(",", ":"))}
        except Exception as error:
            yield {"data": json.dumps(body_of(error))}
        yield {"data": "[DONE]"}

    found = _Stream(lines(), send_timeout=SLOW, ping=15, headers={"Cache-Control": "no-store"})
    found.over = over
    return found
