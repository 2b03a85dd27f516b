"""What stands in front of every request: its size, its key, its name, and headers of the answer."""

import asyncio
import hashlib
import hmac
import json
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException

from .errors import body

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
OPEN = ("/healthz", "/readyz", "/version")
"""Paths that need no key."""
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'none'"
)
CLOSE = {"Connection": "close"}
"""For answers to a body of which more may come: nobody reads on."""
logger = logging.getLogger("undiffuse.requests")


def digest(key: str) -> bytes:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).digest()


@dataclass(frozen=True, eq=False)
class Guard:
    """ASGI middleware. `keys` are digests, none of them: everyone may ask. `largest` is the most bytes of a body, and
    `patience` the seconds in which it must be here."""

    app: Callable[[Scope, Receive, Send], Awaitable[None]]
    keys: Sequence[bytes] = ()
    largest: int = 1 << 20
    patience: float = 30.0
    counted: Callable[[str, int, float], None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, name, status = time.perf_counter(), f"req-{uuid.uuid4().hex[:16]}", 500
        scope.setdefault("state", {})["request_id"] = name

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(b"x-request-id", name.encode()), (b"x-content-type-options", b"nosniff")]
                own += [(b"content-security-policy", POLICY.encode()), (b"referrer-policy", b"no-referrer")]
                message["headers"] = [*message.get("headers", []), *own]
            await send(message)

        try:
            refused = self._refused(scope)
            if refused is not None:
                await _answer(sending, *refused)
            else:
                await self.app(scope, self._limited(receive), sending)
        finally:
            taken = time.perf_counter() - began
            logger.info("%s %s %s %d %.3f s", name, scope["method"], scope["path"], status, taken)
            if self.counted is not None:
                self.counted(scope["path"], status, taken)

    def _refused(self, scope: Scope) -> tuple[int, str, str] | None:
        headers = {key.lower(): value for key, value in scope["headers"]}
        size = headers.get(b"content-length", b"0")
        if not size.isdigit():
            return 400, "content-length is no number", "invalid"
        if int(size) > self.largest:
            return 413, f"a body may have {self.largest} bytes at most, and this one has {int(size)}", "too_large"
        path = scope["path"]
        if self.keys and path.startswith(("/v1/", "/metrics")) and path not in OPEN:
            kind, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
            given = digest(key.strip())
            matches = [hmac.compare_digest(given, known) for known in self.keys]  # all, whichever matches
            if kind.lower() != "bearer" or not any(matches):
                return 401, "an API key is needed: send Authorization: Bearer KEY", "invalid_api_key"
        return None

    def _limited(self, receive: Receive) -> Receive:
        taken, whole, until = 0, False, time.monotonic() + self.patience

        async def receiving() -> MutableMapping[str, Any]:
            nonlocal taken, whole
            if whole:  # what comes now is that the client left
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(until - time.monotonic(), 0.001))
            except TimeoutError:
                raise HTTPException(408, f"the body was not here within {self.patience:g} s", CLOSE) from None
            taken += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if taken > self.largest:
                raise HTTPException(413, f"a body may have {self.largest} bytes at most", CLOSE)
            return message

        return receiving


async def _answer(send: Send, status: int, message: str, code: str) -> None:
    content = json.dumps(body(message, "invalid_request_error", code)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    headers += [(b"www-authenticate", b"Bearer")] if status == 401 else []
    headers += [(b"connection", b"close")] if status == 413 else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
