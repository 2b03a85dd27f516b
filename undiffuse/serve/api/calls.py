"""Requests as verbs of a model: what HTTP asks for, in the words of the library."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from ...decode.canvas import Canvas
from ...decode.demand import Denoise, Verb
from ...errors import UserError
from ...language_model import LanguageModel
from ...language_model.edit import ordered
from ...language_model.log_probabilities import Numbers, log_probabilities
from ...predictor import Predictor
from ...text.holes import OPEN_RANGE, Hole, Segment, Text, parse, render
from ...text.typed import Type
from .schema import ChooseRequest, EditRequest, FillRequest, HoleSegment, ScoreRequest, SegmentIn

Result = TypeVar("Result")
Made = Callable[[float], Verb[Any]]
LONGEST_INFIX = 64
"""Tokens of what stands between a prompt and a suffix, at most: every length is tried."""


def waited(options: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Options with the milliseconds of a deadline that are left; always enough for the one completing evaluation."""
    if options.get("deadline_ms") is None:
        return options
    return {**options, "deadline_ms": max(options["deadline_ms"] - 1000 * seconds, 1e-3)}


def segments_of(asked: Sequence[SegmentIn]) -> list[Segment]:
    """Text as it is, and holes. UserError for a hole that is none."""
    found: list[Segment] = []
    for segment in asked:
        if segment.hole is None:
            found += [Text(segment.text)] if segment.text else []
            continue
        found.append(_hole(segment.hole))
    if not any(isinstance(segment, Hole) for segment in found):
        raise UserError('there is no hole among the segments: give one, {"hole": {"min": 1, "max": 8}}')
    return found


def _hole(hole: HoleSegment) -> Hole:
    if hole.type is not None:
        (only,) = parse(f"{{{hole.name or 'hole'}:{hole.type}}}")
        if not isinstance(only, Hole):
            raise UserError(f"{hole.type!r} is no type: choice(a|b), yesno, date, int(1-99) or /regex/")
        return only
    most = hole.max if hole.max is not None else max(hole.min, OPEN_RANGE[1] if hole.min == 1 else hole.min)
    return sized(hole.min, most)


def sized(least: int, most: int) -> Hole:
    """A hole of so many tokens. UserError where it ends below its start."""
    if most < least:
        raise UserError(f"a hole of {least} to {most} tokens ends below its start")
    return Hole(least, most, f"[MASK:{least}-{most}]" if most > least else f"[MASK:{least}]")


def fill(model: LanguageModel, asked: FillRequest) -> Made:
    """The answers have the JSON of `undiffuse fill --json`."""
    if asked.schema_ is not None:
        if asked.segments is not None:
            raise UserError("a schema follows a text: give text, without segments")
        schema, prompt = asked.schema_, asked.text or ""
        own: dict[str, Any] = {"top": asked.top, "samples": asked.samples}
        return lambda seconds: model.calls.fill_object(prompt, schema, **own, **waited(asked.options(), seconds))
    if (asked.text is None) == (asked.segments is None):
        raise UserError("give text with holes, or segments")
    source = asked.text if asked.segments is None else render(segments_of(asked.segments))
    assert source is not None
    return filled(model, source, asked.options(), top=asked.top, samples=asked.samples)


def filled(model: LanguageModel, source: str, options: dict[str, Any], **own: Any) -> Made:
    """A text with holes."""
    return lambda seconds: model.calls.fill(source, **own, **waited(options, seconds))


def infix(prompt: str, suffix: str, length: int | None) -> str:
    """A prompt and a suffix as a text with a hole between them."""
    most = min(length or 16, LONGEST_INFIX)
    parts: list[Segment] = [Text(prompt), sized(1, most), Text(suffix)]
    return render([part for part in parts if not isinstance(part, Text) or part.text])


@dataclass(frozen=True)
class Change:
    """What became of a span: character positions in the text that was given."""

    start: int
    end: int
    before: str
    after: str
    probability: float


def edit(model: LanguageModel, asked: EditRequest) -> tuple[Made, Callable[[Any], list[Change]]]:
    """The text with its spans as holes, and what reads the changes off the answer. UserError for spans that overlap."""
    spans = sorted(asked.spans, key=lambda span: span.start)
    places = ordered(asked.text, [(span.start, span.end) for span in spans])
    parts: list[Segment] = []
    end = 0
    for span in spans:
        parts += [Text(asked.text[end : span.start])] if span.start > end else []
        begin = span.start
        if begin > 0 and asked.text[begin - 1] == " ":
            begin -= 1  # the space goes into the hole, as in `fill`
        tokens = max(len(model.tokenizer.encode(asked.text[begin : span.end])), 1)
        least = span.min or (tokens if span.max is None else 1)
        parts.append(sized(least, span.max if span.max is not None else max(tokens, least)))
        end = span.end
    parts += [Text(asked.text[end:])] if end < len(asked.text) else []

    def changes(answer: Any) -> list[Change]:
        return [
            Change(span.start, span.end, asked.text[span.start : span.end], hole.text, hole.probability)
            for span, hole in zip(spans, answer.holes, strict=True)
        ]

    options = asked.options()
    if asked.strength == 1:
        return filled(model, render(parts), options, top=asked.top), changes
    own: dict[str, Any] = {"strength": asked.strength}
    return lambda seconds: _one(model.calls.edit(asked.text, places, **own, **waited(options, seconds))), changes


def _one(verb: Verb[Result]) -> Verb[list[Result]]:
    """A verb on one text as one on several."""
    return [(yield from verb)]


def choose(model: LanguageModel, asked: ChooseRequest) -> Made:
    """The choices as the type of the one hole."""
    if asked.text.count("{}") != 1:
        raise UserError("the text needs one {} where a choice stands")
    if len(set(asked.choices)) < len(asked.choices) or not all(asked.choices):
        raise UserError("choices must be different texts, none of them empty")
    before, after = asked.text.split("{}")
    written = "|".join(choice.replace("\\", "\\\\").replace("|", "\\|").replace(")", "\\)") for choice in asked.choices)
    hole = Hole(1, 1, f"{{choice:choice({written})}}", "choice", Type(choices=tuple(asked.choices)))
    parts: list[Segment] = [Text(before), hole, Text(after)]
    source = render([part for part in parts if not isinstance(part, Text) or part.text])
    return filled(model, source, {}, top=len(asked.choices))


def score(model: LanguageModel, asked: ScoreRequest) -> Made:
    """Likelihoods, with the share of every text."""

    return lambda _: model.calls.score(
        asked.texts, prompts=asked.prompts, draws=asked.draws, per_token=asked.per_token, seed=asked.seed
    )


def object_answer(model: LanguageModel, messages: list[dict[str, str]], schema: dict[str, Any], options: Any) -> Made:
    """An answer that is an object of a schema."""
    return lambda seconds: model.calls.answer_object(messages, schema, **waited(options, seconds))


@dataclass(eq=False)
class Wanted:
    """The log-probabilities that are asked for of a text: which, of what ends it, and the seed of their draws.

    `found` has them part by part, once the verb has returned.
    """

    name: str
    ends: frozenset[int]
    seed: int
    found: list[Numbers] = field(default_factory=list)

    def of(self, made: Made) -> Made:
        """A call, after which they are found."""
        return lambda seconds: self._followed(made(seconds))

    def _followed(self, verb: Verb[Any]) -> Verb[Any]:
        parts: list[tuple[Predictor, Canvas | None]] = []
        reply: Canvas | None = None
        while True:
            try:
                demand = verb.send(reply)
            except StopIteration as stop:
                result = stop.value
                break
            if isinstance(demand, Denoise):
                parts.append((demand.predictor, None))
            reply = yield demand
            if reply is not None:
                parts[-1] = parts[-1][0], reply
        for predictor, canvas in parts:
            if canvas is not None:
                first = canvas.select(slice(0, 1))
                self.found.append((yield from log_probabilities(self.name, predictor, first, self.ends, self.seed)))
        return result


def as_json(found: Any) -> Any:
    """What a verb returned, for JSON."""
    if hasattr(found, "json"):
        return found.json()
    return asdict(found)
