"""Answers in conversations, and earlier answers with blanks that are filled given all of a conversation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch

from ..decode.canvas import Canvas, start
from ..decode.demand import Verb, denoised, requests_of
from ..decode.whole_text import Span, WholeText
from ..errors import UserError
from ..randomness import Draws
from ..text.conversation import pieces
from ..text.form import Blank, Fixed, Form, form_of
from ..text.holes import Hole, Segment, Text, parse
from ..text.template import Message, checked
from ..text.traced import HOLE, SAID, Traced, joined
from ..text.utf8 import whole_characters
from .arguments import whole
from .defaults import suited
from .fill import fill_forms
from .generate import _in_blocks
from .many import batches, each
from .results import Answer, Filled
from .settings import Settings
from .trained import Trained

LENGTH = 256
"""Tokens of an answer, at most, of models whose authors say nothing."""
FIRST = 0xE000
"""Where the characters for private use begin: one stands for each blank of an answer on its way through a template."""


def chat(
    model: Trained, conversations: Sequence[Sequence[Message]], length: int | None, settings: Settings
) -> Verb[list[Answer]]:
    """See `LanguageModel.chat`."""
    model = model.speaking
    settings = _settled(model, settings)
    turns = each(conversations, lambda messages: Turn.of(model, messages, length, settings))
    found: list[Answer | None] = [None] * len(turns)
    for together in batches([turn.canvas.ids.shape[1] for turn in turns], [1] * len(turns)):
        answers = yield from _together(model, [turns[number] for number in together], settings)
        for number, answer in zip(together, answers, strict=True):
            found[number] = answer
    return [answer for answer in found if answer is not None]


def _settled(model: Trained, settings: Settings) -> Settings:
    """Settings as the network needs them; UserError for what has no meaning for an answer."""
    if settings.samples != 1:
        raise UserError("a conversation is answered once: leave out samples, or give it again with another seed")
    span = model.predictor.traits.block_length
    return suited(model.predictor, settings if span is None else _in_blocks(settings, span))


def _longest(model: Trained) -> int:
    """Tokens of an answer, at most, where nobody says."""
    return model.canvas or (LENGTH if model.decoding is None else model.decoding.length)


@dataclass(frozen=True, eq=False)
class Turn:
    """A conversation of `first` tokens, and after them the next answer, pending."""

    first: int
    canvas: Canvas

    @classmethod
    def of(cls, model: Trained, messages: Sequence[Message], length: int | None, settings: Settings) -> "Turn":
        """UserError for what cannot be decoded."""
        ids = model.voice.ids(messages)
        room = model.context - len(ids)
        length = max(min(_longest(model), room), 1) if length is None else whole("length", length)
        if length > room:
            raise TooLongError(
                f"the conversation has {len(ids)} tokens and the answer up to {length}, and the model was trained on "
                f"{model.context}: leave out earlier messages, or ask for a shorter answer"
            )
        settings.check(length)
        pending = torch.arange(len(ids) + length) >= len(ids)
        canvas = start(
            torch.tensor(ids + [0] * length),
            pending,
            key=Draws.seeded(settings.seed).stream("chat"),
            **settings.plan(model.predictor, settings.steps),
        )
        settings.decoder().check(model.predictor, canvas)
        return cls(len(ids), canvas)


class TooLongError(UserError):
    """A conversation that does not fit the context together with its answer."""


def _together(model: Trained, turns: Sequence[Turn], settings: Settings) -> Verb[list[Answer]]:
    """Conversations that share a batch."""
    voice = model.voice
    spans = [Span(row, turn.first, turn.canvas.ids.shape[1], voice.text) for row, turn in enumerate(turns)]
    how = settings.decoder(WholeText(spans), stop=voice.stops, early=True)
    canvas = Canvas.concatenate([turn.canvas for turn in turns]).to(model.device)
    done = yield from denoised(model.predictor, requests_of(model.predictor, canvas, how))
    found = []
    for span, ids, nfe in zip(spans, done.ids.tolist(), done.nfe.tolist(), strict=True):
        written = ids[span.start : span.stop]
        end = next((place for place, token in enumerate(written) if token in voice.stops), None)
        data = model.tokenizer.decode_bytes(written[:end])
        tokens = len(written[:end])
        text = whole_characters(data)
        if model.tokenizer.spaced or model.tokenizer.continuing is not model.tokenizer:  # before every word or text
            text = text.removeprefix(" ")
        found.append(Answer(text, tokens, nfe, settings.seed, model.name, finished=end is not None))
    return found


def fitting(model: Trained, messages: Sequence[Message], length: int | None, settings: Settings) -> list[Message]:
    """See `LanguageModel.fitting`."""
    kept = list(checked(messages))
    head = 1 if kept[0]["role"] == "system" else 0
    wanted = min(_longest(model), max(model.context // 4, 1)) if length is None else length
    settings = _settled(model, settings)
    while True:
        later = [place for place, message in enumerate(kept) if place > head and message["role"] == "user"]
        try:
            Turn.of(model, kept, wanted if later else length, settings)
            return kept
        except TooLongError:
            if not later:
                raise
            del kept[head : later[0]]


def fill_answer(
    model: Trained, messages: Sequence[Message], number: int, settings: Settings, top: int
) -> Verb[tuple[str, Filled]]:
    """See `LanguageModel.fill_answer`: the whole answer, and how its blanks were filled."""
    messages = checked(messages)
    if not 0 <= number < len(messages) or messages[number]["role"] != "assistant":
        raise UserError(f"message {number + 1} is no answer: blanks of an earlier answer can be filled")
    return (yield from answer_in(model, messages, number, parse(messages[number]["content"]), settings, top))


def answer_in(
    model: Trained,
    messages: Sequence[Message],
    number: int,
    segments: Sequence[Segment],
    settings: Settings,
    top: int,
) -> Verb[tuple[str, Filled]]:
    """An answer that is fixed text and holes: the whole of it, and how its blanks were filled."""
    form = _form(model, messages, number, segments)
    ((filled,),) = yield from fill_forms(model, [form], settings, top)
    answers = iter(filled.holes)
    text = "".join(segment.text if isinstance(segment, Text) else next(answers).text for segment in segments)
    return text, filled


def _form(model: Trained, messages: Sequence[Message], number: int, segments: Sequence[Segment]) -> Form:
    """A conversation in tokens, with the blanks of one answer where the template puts them."""
    holes = [segment for segment in segments if isinstance(segment, Hole)]
    standing = iter(range(FIRST, FIRST + len(holes)))
    content = joined(
        Traced(segment.text) if isinstance(segment, Text) else Traced(chr(next(standing)), bytes([SAID | HOLE]))
        for segment in segments
    )
    changed = [*messages[:number], {**messages[number], "content": content}, *messages[number + 1 :]]
    parts: list[Fixed | Blank] = []
    for piece in pieces(model.voice.template.render(changed, answer=False), model.tokenizer):
        if piece.row is None:
            codec = model.tokenizer.after_control if parts else model.tokenizer
            parts += form_of(_segments(piece.text, holes), codec).parts
        else:
            parts.append(Fixed((piece.row,)))
    form = Form(tuple(parts))
    if [blank.hole for blank in form.blanks] != holes:
        raise UserError(f"{model.voice.template.where} does not write the answer as it is: its blanks cannot be filled")
    return form


def _segments(text: Traced, holes: Sequence[Hole]) -> list[Segment]:
    found: list[Segment] = []
    at = 0
    for is_hole, run in groupby(text.origin, key=lambda bits: bits & HOLE):
        length = len(list(run))
        part = text.plain[at : at + length]
        found += [holes[ord(each) - FIRST] for each in part] if is_hole else [Text(part)]
        at += length
    return found


def conversations_of(
    messages: Sequence[Message] | Sequence[Sequence[Message]], system: str | None
) -> tuple[list[Sequence[Message]], bool]:
    """The conversations of a call, and whether it was one; a system message comes first."""
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence):
        checked(messages)  # type: ignore[arg-type]
    one = bool(messages) and isinstance(messages[0], Mapping)
    listed = [messages] if one else list(messages)
    if system is None:
        return listed, one  # type: ignore[return-value]
    return [begun(each, system) for each in listed], one  # type: ignore[arg-type]


def begun(messages: Sequence[Message], system: str) -> list[Message]:
    """A conversation after a system message; UserError where it has its own."""
    if checked(messages)[0]["role"] == "system":
        raise UserError("the conversation has a system message: leave out system, or that message")
    return [{"role": "system", "content": system}, *messages]
