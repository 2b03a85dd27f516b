"""Server-sent events."""

import json
from collections.abc import AsyncIterator
from typing import Any

from sse_starlette.sse import EventSourceResponse

from .desk import EndedError
from .errors import body, body_of

SLOW = 30.0
"""Seconds that a chunk may take to be sent before its reader is dropped."""


def events(chunks: AsyncIterator[Any]) -> EventSourceResponse:
    """Objects as a stream that OpenAI's clients read: a `data:` line each, `[DONE]` at the end, an error before it."""

    async def lines() -> AsyncIterator[dict[str, str]]:
        try:
            async for chunk in chunks:
                yield {"data": json.dumps(chunk, ensure_ascii=False, separators=(",", ":"))}
        except EndedError as ended:
            yield {"data": json.dumps(body(f"the request was ended: {ended}", "server_error", "ended"))}
        except Exception as error:
            yield {"data": json.dumps(body_of(error))}
        yield {"data": "[DONE]"}

    return EventSourceResponse(lines(), send_timeout=SLOW, ping=15, headers={"Cache-Control": "no-store"})
