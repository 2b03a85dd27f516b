"""What requests may say. Unknown fields are refused, with the known ones; what OpenAI's clients send along is named."""

from abc import ABC
from dataclasses import fields
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ...errors import UserError, did_you_mean
from ...kinds import STRATEGIES
from ...language_model import LanguageModel
from ...language_model.log_probabilities import COMMIT, definition_of, refuse
from ...language_model.settings import FILTERS

Count = Annotated[int, Field(ge=1, le=1 << 20)]
Seed = Annotated[int, Field(ge=0, lt=1 << 63)]


class Strict(BaseModel, ABC):
    """Types are not converted, and unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", strict=True)


@cache
def knobs() -> frozenset[str]:
    """The options of all strategies, and of how they choose tokens."""
    own = {f.name for kind in STRATEGIES.kinds for f in fields(STRATEGIES.load(kind))} - {"filters"}
    return frozenset(own | FILTERS)


class Diffusion(BaseModel):
    """How a text is decoded; what is left out is as the model has it.

    `strategy` is a preset (speed, balanced, quality) or the name of a strategy, whose own options (threshold, gamma, …)
    stand beside it. A causal model ranks `candidates` for each hole by `right` tokens of what follows. `stream_mode`
    patches adds to every chunk what changed at which position. `logprobs` says which log-probabilities a completion
    has: commit, final or elbo.
    """

    model_config = ConfigDict(extra="allow", strict=True)

    strategy: str | None = None
    steps: Count | None = None
    block_length: Count | None = None
    cache: str | None = None
    guidance: float | None = None
    max_nfe: Count | None = None
    deadline_ms: Annotated[float, Field(gt=0)] | None = None
    candidates: Count | None = None
    right: Count | None = None
    stream_mode: Literal["committed", "patches"] = "committed"
    logprobs: str | None = None

    @model_validator(mode="after")
    def _known(self) -> "Diffusion":
        for name in self.model_extra or {}:
            if name not in knobs():
                known = ", ".join(sorted({*type(self).model_fields, *knobs()}))
                raise ValueError(f"there is no option {name!r}{_near(name)}; known: {known}")
        return self

    def options(self) -> dict[str, Any]:
        """For a verb."""
        named = self.model_dump(exclude={"stream_mode", "logprobs"}, exclude_none=True)
        return named | (self.model_extra or {})


def _near(name: str) -> str:
    near = did_you_mean(name, [*Diffusion.model_fields, *knobs()])
    return near if "did you mean" in near else ""


class StreamOptions(Strict):
    """Of a stream: whether its last chunk says what was used."""

    include_usage: bool = False
    include_obfuscation: bool | None = None


class JsonSchema(Strict):
    """The schema of an answer: flat typed fields, satisfied always."""

    name: str = "answer"
    description: str | None = None
    schema_: Annotated[dict[str, Any], Field(alias="schema")]
    strict: bool | None = None


class ResponseFormat(Strict):
    """Text, or an object of a schema."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchema | None = None


class Asked(Strict, ABC):
    """What every request may say."""

    model: str | None = None
    seed: Seed = 0
    temperature: Annotated[float, Field(ge=0)] | None = None
    diffusion: Diffusion = Field(default_factory=Diffusion)
    stream: bool = False

    def options(self) -> dict[str, Any]:
        """For a verb."""
        if self.diffusion.logprobs is not None:
            raise UserError("diffusion.logprobs is for chat completions and completions: leave it out")
        return {"seed": self.seed, "temperature": self.temperature, **self.diffusion.options()}


class OpenAI(Asked, ABC):
    """Fields of OpenAI's that both kinds of completion share.

    Those that say something about the caller alone are taken and change nothing.
    """

    seed: Seed | None = None  # type: ignore[assignment]
    n: Annotated[int, Field(ge=1, le=64)] | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Count | None = None
    stop: str | list[str] | None = None
    stream: bool | None = False  # type: ignore[assignment]
    stream_options: StreamOptions | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    def options(self) -> dict[str, Any]:
        chosen = {"seed": self.seed or 0, "temperature": self.temperature, **self.diffusion.options()}
        filters = {"top_p": self.top_p if self.top_p != 1 else None, "top_k": self.top_k}
        return chosen | {name: value for name, value in filters.items() if value is not None}

    @property
    def length(self) -> int | None:
        """Tokens to write, at most."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def stops(self) -> list[str]:
        """Strings that end a text."""
        found = [self.stop] if isinstance(self.stop, str) else list(self.stop or ())
        if any(not each for each in found):
            raise UserError("stop: an empty string ends nothing; leave it out")
        return found

    @property
    def with_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)

    def numbers(self, model: LanguageModel, wanted: bool, ranked: bool = False) -> str | None:
        """The log-probabilities that are asked for; UserError where the model has none such."""
        name = self.diffusion.logprobs
        if not wanted:
            if name is not None:
                raise UserError("diffusion.logprobs says which log-probabilities are meant: ask for them with logprobs")
            return None
        name = definition_of(name or COMMIT)
        refuse(model.predictor, name)
        if ranked and name == COMMIT and model.predictor.traits.one_sided:
            raise UserError(
                "log-probabilities 'commit' do not exist where a causal model ranks what stands before a suffix, since "
                "no step decides a token: use final, or elbo, in the object diffusion"
            )
        return name

    def refuse_penalties(self) -> None:
        """UserError for what would change the answer and is not done."""
        for name in ("presence_penalty", "frequency_penalty", "logit_bias"):
            if getattr(self, name):
                raise UserError(f"{name} is not supported: leave it out (diffusion.strategy and its options decide)")


class Part(Strict):
    """A part of a message."""

    type: Literal["text"]
    text: str


class ChatMessage(Strict):
    """One message."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]
    name: str | None = None

    def plain(self) -> dict[str, str]:
        """As a template takes it; a developer's message is the system's."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class ChatRequest(OpenAI):
    """POST /v1/chat/completions"""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    logprobs: bool | None = None
    top_logprobs: int | None = None
    response_format: ResponseFormat | None = None


class CompletionRequest(OpenAI):
    """POST /v1/completions, and /v1/fim/completions: with a `suffix` the text between is written."""

    prompt: str | list[str] = ""
    suffix: str | None = None
    echo: bool | None = None
    logprobs: int | None = None


class HoleSegment(Strict):
    """A hole of so many tokens, or of a type, written as in `fill`: choice(a|b), yesno, date, int(1-99), /regex/."""

    min: Count = 1
    max: Count | None = None
    name: str = ""
    type: str | None = None


class SegmentIn(Strict):
    """Fixed text, taken as it is, or a hole."""

    text: str | None = None
    hole: HoleSegment | None = None

    @model_validator(mode="after")
    def _one(self) -> "SegmentIn":
        if (self.text is None) == (self.hole is None):
            raise ValueError("a segment is either text or a hole")
        return self


class FillRequest(Asked):
    """POST /v1/fill: `text` with holes as `undiffuse fill` reads them, or `segments`, in which text is only text.

    With a `schema` a JSON object follows the text.
    """

    text: str | None = None
    segments: list[SegmentIn] | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    top: Annotated[int, Field(ge=1, le=100)] = 3
    samples: Annotated[int, Field(ge=1, le=64)] = 1


class SpanIn(Strict):
    """Characters [start, end) of a text, and how many tokens may stand there (None: as many as now)."""

    start: Annotated[int, Field(ge=0)]
    end: Annotated[int, Field(ge=0)]
    min: Count | None = None
    max: Count | None = None


class EditRequest(Asked):
    """POST /v1/edit: a text of which some spans are written anew, given all the rest.

    With a `strength` below 1 a part of them stays: each keeps its number of tokens, and begins as noisy as that says.
    """

    text: str
    spans: Annotated[list[SpanIn], Field(min_length=1, max_length=256)]
    strength: Annotated[float, Field(gt=0, le=1)] = 1.0
    top: Annotated[int, Field(ge=1, le=100)] = 3

    @model_validator(mode="after")
    def _in_place(self) -> "EditRequest":
        if self.strength < 1:
            if any(span.min is not None or span.max is not None for span in self.spans):
                raise ValueError("with a strength below 1 a span keeps its number of tokens: leave out min and max")
            if "top" in self.model_fields_set:
                raise ValueError("with a strength below 1 there are no alternatives: leave out top")
        return self


class GenerateRequest(Asked):
    """POST /v1/generate: a continuation, with the JSON of `undiffuse generate --json`."""

    prompt: str = ""
    length: Count | None = None
    until: list[str] = Field(default_factory=list)
    samples: Annotated[int, Field(ge=1, le=64)] = 1


class CheckRequest(Strict):
    """POST /v1/check: proofreading."""

    model: str | None = None
    text: str
    top: Count | None = None
    proposals: Annotated[int, Field(ge=1, le=100)] = 3
    threshold: Annotated[float, Field(ge=0)] = 8.0
    candidates: Count | None = None
    right: Count | None = None


class ScoreRequest(Strict):
    """POST /v1/score: the likelihood of texts, bound or exact as the model allows."""

    model: str | None = None
    texts: Annotated[list[str], Field(min_length=1)]
    prompts: list[str | None] | None = None
    draws: Annotated[int, Field(ge=2, le=4096)] | None = None
    per_token: bool = False
    seed: Seed = 0


class ChooseRequest(Strict):
    """POST /v1/choose: which of some texts stands in the one hole `{}` of a text, as probabilities."""

    model: str | None = None
    text: str
    choices: Annotated[list[str], Field(min_length=2, max_length=64)]


class EmbedRequest(Strict):
    """POST /v1/embeddings"""

    model: str | None = None
    input: str | list[str]
    encoding_format: Literal["float", "base64"] | None = None
    layer: int = -1
    user: str | None = None
