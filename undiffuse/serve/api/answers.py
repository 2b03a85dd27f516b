"""What answers look like, for /openapi.json alone: endpoints give what the verbs give, and a test holds it to this."""

from abc import ABC
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Shape(BaseModel, ABC):
    """Every field that is there is named here."""

    model_config = ConfigDict(extra="forbid")


class ErrorBody(Shape):
    message: str
    type: str
    param: str | None
    code: str | None


class ErrorAnswer(Shape):
    """What went wrong, in OpenAI's shape."""

    error: ErrorBody


class Alternative(Shape):
    text: str
    probability: float


class Length(Shape):
    tokens: int
    probability: float


class FilledHole(Shape):
    """A hole, what it holds, and what else could stand there; `kind` says of what the probability is."""

    index: int
    text: str
    probability: float
    alternatives: list[Alternative]
    name: str
    lengths: list[Length]
    kind: str
    coverage: float | None = None


class Filling(Shape, ABC):
    """A text with holes that were filled; with a schema also the object."""

    text: str
    holes: list[FilledHole]
    nfe: int
    tokens_per_forward: float | None
    seed: int
    strategy: str
    model: str
    object: dict[str, Any] | None = None


class Filled(Filling):
    """The JSON of `undiffuse fill --json`."""


class FilledSamples(Shape):
    samples: list[Filled]
    model: str


class Generated(Shape):
    """The JSON of `undiffuse generate --json`."""

    text: str
    prompt: str
    tokens: int
    nfe: int
    tokens_per_forward: float | None
    seed: int
    strategy: str
    model: str
    certificate: float | None
    note: str
    stopped: str | None = None


class GeneratedSamples(Shape):
    samples: list[Generated]
    model: str


class SpanChange(Shape):
    start: int
    end: int
    before: str
    after: str
    probability: float


class Edited(Filling):
    """A text of which spans were written anew."""

    changes: list[SpanChange]


class Finding(Shape):
    """A word that its two sides make unlikely; places count characters and bytes of UTF-8."""

    start: int
    end: int
    byte_start: int
    byte_end: int
    line: int
    column: int
    text: str
    tokens: int
    probability: float
    surprise: float
    odds: float
    proposals: list[Alternative]


class Checked(BaseModel):
    """The JSON of `undiffuse check --json`."""

    findings: list[Finding]
    model: str


class Mean(Shape):
    mean: float
    stderr: float | None


class Scored(BaseModel):
    """The JSON of `undiffuse score --json`, with the share of each text."""

    bits_per_byte: Mean
    nats_per_token: Mean
    tokens: int
    bytes: int
    kind: str
    per_text: list[dict[str, Any]]
    model: str


class Chosen(Shape):
    choice: str
    choices: list[Alternative]
    kind: str
    model: str


class CancelledAnswer(Shape):
    id: str
    cancelled: bool


class Work(Shape):
    nfe: int
    rows_forwarded: int
    committed: int
    tokens_per_forward: float | None


class PromptTokens(Shape):
    cached_tokens: int


class Usage(Shape):
    prompt_tokens: int
    prompt_tokens_details: PromptTokens
    completion_tokens: int
    total_tokens: int
    diffusion: Work


class Message(Shape):
    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(Shape):
    index: int
    message: Message
    finish_reason: Literal["stop", "length"]
    logprobs: dict[str, Any] | None


class ChatAnswer(Shape):
    """OpenAI's chat completion."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: Usage


class TextChoice(Shape):
    index: int
    text: str
    finish_reason: Literal["stop", "length"]
    logprobs: dict[str, Any] | None


class CompletionAnswer(Shape):
    """OpenAI's completion."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextChoice]
    usage: Usage


class Vector(Shape):
    object: Literal["embedding"]
    index: int
    embedding: list[float]


class EmbeddingUsage(Shape):
    prompt_tokens: int
    total_tokens: int


class Embeddings(Shape):
    """OpenAI's embeddings."""

    object: Literal["list"]
    data: list[Vector]
    model: str
    usage: EmbeddingUsage


class ModelEntry(Shape):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    loaded: bool


class ModelList(Shape):
    object: Literal["list"]
    data: list[ModelEntry]


class Capabilities(Shape):
    """What a model accepts, found out by asking it."""

    id: str
    context: int
    vocabulary: int
    kind: Literal["causal", "block diffusion", "diffusion"]
    block_length: int | None
    sees_both_sides: bool
    fills: Literal["ranked", "decoded"] | None
    likelihood: Literal["exact", "bound"]
    strategies: list[str]
    presets: dict[str, str]
    caches: list[str]
    default: dict[str, Any] | None
    chat: bool
    refused: dict[str, str] = Field(description="verbs that the model refuses, with the reason")
    stream_modes: list[str]
    logprobs: list[str]
    response_formats: list[str]
    device: str


class Alive(Shape):
    alive: bool


class Ready(Shape):
    ready: bool
    why: str | None = None


class Version(Shape):
    undiffuse: str
    models: list[str]
    default: str
