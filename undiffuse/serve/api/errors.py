"""Errors over HTTP: one JSON object in OpenAI's shape, with a status that says whose mistake it was."""

import math
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from ...errors import UserError
from ..engine import BusyError, DrainingError, is_refusal
from ..served import NoModelError


class TooLargeError(UserError):
    """A request beyond the limits of the server."""


class EndedError(Exception):
    """A job was ended before it was done, by the server or on request; `cause` says why."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"the request was ended: {cause}")
        self.cause = cause


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


def status_of(error: BaseException) -> int:
    """The status of an error."""
    if isinstance(error, NoModelError):
        return 404
    if isinstance(error, TooLargeError):
        return 413
    if is_refusal(error):
        return 400
    if isinstance(error, EndedError):
        return {"timeout": 504, "shutdown": 503}.get(error.cause, 409)
    if isinstance(error, ClientGoneError):
        return 499  # nobody reads it; the log and the metrics do
    return 429 if isinstance(error, BusyError) else 503 if isinstance(error, DrainingError) else 500


def body_of(error: BaseException) -> dict[str, Any]:
    """The body of an error; what broke inside is in the log, not here."""
    status = status_of(error)
    kind = {
        404: "not_found_error",
        429: "rate_limit_error",
        503: "server_error",
        504: "server_error",
        500: "server_error",
    }
    code = {404: "model_not_found", 413: "too_large", 429: "busy", 503: "draining", 500: "internal"}
    shown = isinstance(error, UserError | BusyError | DrainingError | EndedError)
    message = str(error) if shown else "the request failed inside the server, and its log says why"
    return body(
        message,
        kind.get(status, "invalid_request_error"),
        "ended" if isinstance(error, EndedError) else code.get(status),
    )


def body(message: str, kind: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def response_of(error: BaseException) -> JSONResponse:
    headers = {"Retry-After": str(math.ceil(error.seconds))} if isinstance(error, BusyError) else None
    return JSONResponse(body_of(error), status_of(error), headers)


def install(app: FastAPI) -> None:
    """Have every error of the app answered like this."""

    async def known(_: Request, error: Exception) -> JSONResponse:
        return response_of(error)

    for kind in (UserError, BusyError, DrainingError, EndedError, ClientGoneError, Exception):
        app.add_exception_handler(kind, known)

    async def invalid(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first: Mapping[str, Any] = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        message = str(first["msg"]).removeprefix("Value error, ")
        if first["type"] == "json_invalid":
            message = f"the body is no JSON: {first.get('ctx', {}).get('error', message)}"
            where = ""
        text = f"{where}: {message}" if where else message
        return JSONResponse(body(text, "invalid_request_error", None, where or None), 400)

    app.add_exception_handler(RequestValidationError, invalid)

    async def http(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        kind = "not_found_error" if error.status_code == 404 else "invalid_request_error"
        return JSONResponse(body(str(error.detail), kind), error.status_code, error.headers)

    app.add_exception_handler(HTTPException, http)
