"""What /openapi.json says of every endpoint: examples that can be sent, and what is answered with which status."""

from typing import Any

from . import answers

HELLO = [{"role": "user", "content": "Hello"}]
OBJECT = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
EXAMPLES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "answer": {"messages": HELLO, "max_tokens": 8},
        "stream": {"messages": HELLO, "max_tokens": 8, "stream": True, "stream_options": {"include_usage": True}},
        "object": {
            "messages": HELLO,
            "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": OBJECT}},
        },
    },
    "/v1/completions": {
        "continuation": {"prompt": "The ", "max_tokens": 8, "stop": ["."], "logprobs": 1},
        "stream": {"prompt": "The ", "max_tokens": 8, "stream": True, "diffusion": {"stream_mode": "patches"}},
        "between": {"prompt": "The ", "suffix": " of it", "max_tokens": 3},
    },
    "/v1/fim/completions": {"between": {"prompt": "The ", "suffix": " of it", "max_tokens": 3}},
    "/v1/embeddings": {"texts": {"input": ["The quick fox", "jumps"]}},
    "/v1/fill": {
        "blanks": {"text": "The [MASK] of it is ____.", "top": 3, "seed": 1},
        "segments": {"segments": [{"text": "In this [MASK] is only text, and "}, {"hole": {"min": 1, "max": 3}}]},
        "schema": {"text": "As an object: ", "schema": OBJECT},
        "samples": {"text": "The [MASK] fox", "samples": 2},
        "stream": {"text": "The [MASK] fox", "stream": True},
    },
    "/v1/generate": {
        "strategy": {"prompt": "The", "length": 12, "diffusion": {"strategy": "threshold", "threshold": 0.7}},
        "samples": {"prompt": "The", "length": 6, "samples": 2, "temperature": 1.0},
    },
    "/v1/edit": {"span": {"text": "The quick fox", "spans": [{"start": 4, "end": 9}]}},
    "/v1/check": {"text": {"text": "The quick fox jumps"}},
    "/v1/score": {"texts": {"texts": ["The quick fox", "jumps"], "per_token": True}},
    "/v1/choose": {"choices": {"text": "The {} fox", "choices": ["quick", "lazy"]}},
}
ANSWERS: dict[str, Any] = {
    "/v1/chat/completions": answers.ChatAnswer,
    "/v1/completions": answers.CompletionAnswer,
    "/v1/fim/completions": answers.CompletionAnswer,
    "/v1/embeddings": answers.Embeddings,
    "/v1/fill": answers.Filled | answers.FilledSamples,
    "/v1/generate": answers.Generated | answers.GeneratedSamples,
    "/v1/edit": answers.Edited,
    "/v1/check": answers.Checked,
    "/v1/score": answers.Scored,
    "/v1/choose": answers.Chosen,
    "/v1/cancel/{name}": answers.CancelledAnswer,
    "/v1/models": answers.ModelList,
    "/v1/models/{name}": answers.ModelEntry,
    "/v1/models/{name}/capabilities": answers.Capabilities,
    "/healthz": answers.Alive,
    "/readyz": answers.Ready,
    "/version": answers.Version,
}
ERRORS = {
    400: "The request cannot be answered, and why.",
    401: "An API key is needed.",
    404: "There is no such endpoint or model.",
    408: "The body was not here in time.",
    409: "The request was cancelled.",
    413: "Too large: the body, the text, or what is to be written.",
    429: "Too much work ahead; `Retry-After` says when to come again.",
    500: "The request failed inside the server.",
    503: "The server is about to end.",
    504: "The time of the request is over.",
}
EVENT = {
    "type": "object",
    "properties": {"data": {"type": "string", "description": "A chunk as JSON; last comes [DONE]."}},
    "required": ["data"],
}
STREAMS = ("/v1/chat/completions", "/v1/completions", "/v1/fim/completions", "/v1/fill", "/v1/generate", "/v1/edit")


def described(path: str, errors: tuple[int, ...] | None = None) -> dict[str, Any]:
    """For the decorator of an endpoint. `errors` are the statuses that it has beside 200; None: those of `ERRORS`."""
    found: dict[int | str, dict[str, Any]] = {200: {"model": ANSWERS[path], "description": "The answer."}}
    if path in STREAMS:
        found[200]["content"] = {"text/event-stream": {"schema": EVENT}}
    for status in ERRORS if errors is None else errors:
        found[status] = {"model": answers.ErrorAnswer, "description": ERRORS[status]}
    examples = {name: {"value": value} for name, value in EXAMPLES.get(path, {}).items()}
    extra = {"requestBody": {"content": {"application/json": {"examples": examples}}}} if examples else None
    return {"responses": found, "openapi_extra": extra}


def tidied(schema: dict[str, Any]) -> dict[str, Any]:
    """Without what FastAPI adds for its own answers to bad requests, which are not given here."""
    for operations in schema["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    for name in ("HTTPValidationError", "ValidationError"):
        schema.get("components", {}).get("schemas", {}).pop(name, None)
    return schema
