"""Text from nothing, or from a beginning.

What exceeds the trained context is generated in parts. Each is a canvas of its own: as many of the tokens before it as
fit beside it, counted from position 0 as in training. A network with attention blocks so runs the kept text once more
at the beginning of a part, and its cache stays exact at any length; its parts begin and end where blocks do.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch

from ..decode.canvas import Canvas, start
from ..decode.decoder import Limits
from ..decode.demand import Verb, denoised
from ..decode.request import Abort, Between, Request
from ..decode.whole_text import Span, WholeText
from ..errors import UserError
from ..randomness import Draws
from ..text.form import SPACE, unspaced
from ..text.utf8 import HoleText, whole_characters
from .arguments import whole
from .defaults import suited
from .many import batches, each
from .parts import Part, limits_of, parts_of, steps_of
from .results import Generated
from .settings import Settings
from .trained import Trained
from .until import Until

LONGEST = 1 << 20


def generate(
    model: Trained, prompts: Sequence[str], length: int | None, settings: Settings, until: Until
) -> Verb[list[list[Generated]]]:
    """See `LanguageModel.generate`."""
    courses = each(prompts, lambda prompt: Course.of(model, prompt, length, settings, until))
    rows = [settings.samples] * len(courses)
    for together in batches([max(part.length for part in course.parts) for course in courses], rows):
        yield from _together(model, [courses[number] for number in together])
    return [course.results(model) for course in courses]


@dataclass(eq=False)
class Course:
    """A prompt on its way: the parts ahead, and what each sample has written and spent."""

    prompt: str
    prefix: list[int]
    settings: Settings
    until: Until
    parts: list[Part]
    steps: list[int | None]
    limits: list[Limits]
    rows: list[list[int]]
    nfe: list[int]
    certificate: list[float]
    going: list[int]

    @classmethod
    def of(cls, model: Trained, prompt: str, length: int | None, settings: Settings, until: Until) -> "Course":
        """UserError for what cannot be decoded."""
        prefix, samples = model.begins + model.tokenizer.context(prompt), settings.samples
        if length is None:
            room = max(model.room - len(prefix), model.room // 2)
            known = model.canvas if prompt and model.canvas else model.decoding and model.decoding.length
            length = min(known or room, room)
        length = whole("length", length)
        if length > LONGEST:
            raise UserError(f"length must be at most {LONGEST} tokens, not {length}: ask for the rest in another call")
        traits = model.predictor.traits
        span = traits.block_length
        if span is not None:
            settings = _in_blocks(settings, span)
        if traits.floating:  # windows begin where the part does, as its blocks do
            settings, span = replace(settings, block_length=settings.block_length or span), None
        settings = suited(model.predictor, settings)
        parts = parts_of(len(prefix), length, model.room, span, settings.block_length)
        course = cls(
            prompt,
            prefix,
            settings,
            until,
            parts,
            steps_of(parts, settings, span),
            limits_of(parts, settings),
            rows=[list(prefix) for _ in range(samples)],
            nfe=[0] * samples,
            certificate=[0.0] * samples,
            going=list(range(samples)),
        )
        settings.decoder().check(model.predictor, Canvas.concatenate(course.canvases(model, 0)))
        return course

    def canvases(self, model: Trained, number: int) -> list[Canvas]:
        """For every sample that goes on: the visible end of its row, and the part that is pending."""
        found, part, settings = [], self.parts[number], self.settings
        before, after = model.around.before, model.around.after
        begin, end = self._place(model, number)
        for sample in self.going:
            row = self.rows[sample]
            ids = torch.tensor([*before, *row[len(row) - part.visible :], *[0] * part.size, *after])
            pending = (torch.arange(len(ids)) >= begin) & (torch.arange(len(ids)) < end)
            key = Draws.seeded(settings.seed).stream("generate").at(sample, number)
            found.append(start(ids, pending, key=key, **settings.plan(model.predictor, self.steps[number])))
        return found

    def _place(self, model: Trained, number: int) -> tuple[int, int]:
        """Where on its canvas a part is written."""
        part, first = self.parts[number], len(model.around.before)
        return first + part.visible, first + part.length

    def requests(self, model: Trained, number: int, text: HoleText, began: float) -> list[Request]:
        """A request for every sample that goes on; the deadline is that of the last part."""
        eos = model.tokenizer.vocabulary.eos
        limited = replace(self.settings, limits=_left(self.limits[number], began))
        allowed = WholeText([Span(0, *self._place(model, number), text)])
        how = limited.decoder(allowed, stop=() if eos is None else (eos,), early=True)
        return [
            Request(canvas.to(model.device), how, self._between(model, sample) if self.until.strings else None)
            for sample, canvas in zip(self.going, self.canvases(model, number), strict=True)
        ]

    def _between(self, model: Trained, sample: int) -> Between:
        """Ends a request once a string is certain, whatever is decided after it."""
        earlier = model.tokenizer.decode_bytes(self.written(model, sample))
        revocable = self.settings.strategy.revocable

        def ask(canvas: Canvas) -> Abort | None:
            written = canvas.ids[canvas.certain(revocable, early=True)].tolist()
            return Abort() if self.until.certain(earlier + model.tokenizer.decode_bytes(written)) else None

        return ask

    def advance(self, model: Trained, number: int, done: Canvas) -> None:
        """Takes the finished part of every sample that goes on; those that ended stay behind."""
        (begin, end), eos = self._place(model, number), model.tokenizer.vocabulary.eos
        for sample, row in zip(list(self.going), range(len(done.ids)), strict=True):
            ids, pending = (value[row, begin:end].tolist() for value in (done.ids, done.pending))
            cut = True in pending  # by its limits, or by a string that ends it
            ids = ids[: pending.index(True)] if cut else ids
            self.rows[sample] += ids[: ids.index(eos) + 1] if eos in ids else ids
            self.nfe[sample] += int(done.nfe[row])
            self.certificate[sample] = max(self.certificate[sample], float(done.certificate[row]))
            if eos in ids or cut or self.until.found(model.tokenizer.decode_bytes(self.written(model, sample))):
                self.going.remove(sample)

    def written(self, model: Trained, sample: int) -> list[int]:
        """What a sample wrote so far, without the end of text."""
        ids, eos = self.rows[sample][len(self.prefix) :], model.tokenizer.vocabulary.eos
        return ids[: ids.index(eos)] if eos in ids else ids

    def results(self, model: Trained) -> list[Generated]:
        note = ""
        if len(self.parts) > 1:
            tokens = len(self.prefix) + sum(part.size for part in self.parts)
            note = (
                f"{tokens} tokens exceed the trained context of {model.context}: generated in {len(self.parts)} "
                f"parts, each seeing at most the {max(part.visible for part in self.parts[1:])} tokens before it"
            )
        return [self._result(model, sample, note) for sample in range(len(self.rows))]

    def _result(self, model: Trained, sample: int, note: str) -> Generated:
        ids = self.written(model, sample)
        data = model.tokenizer.decode_bytes(ids)
        end, stopped = self.until.found(data) or (len(data), None)
        begins = accumulate((len(model.tokenizer.token_bytes(token)) for token in ids), initial=0)
        certificate, text = self.certificate[sample], whole_characters(data[:end])
        return Generated(
            text=self.prompt + (text.removeprefix(SPACE) if unspaced(self.prompt, model.tokenizer) else text),
            prompt=self.prompt,
            tokens=len(ids) if stopped is None else sum(begin < end for begin in begins),
            nfe=self.nfe[sample],
            tokens_per_forward=(len(self.rows[sample]) - len(self.prefix)) / self.nfe[sample],
            seed=self.settings.seed,
            strategy=self.settings.kind,
            model=model.name,
            certificate=certificate if math.isfinite(certificate) else None,
            note=note,
            stopped=stopped,
        )


def _together(model: Trained, courses: Sequence[Course]) -> Verb[None]:
    """Prompts that share a batch, part by part."""
    began, text = time.monotonic(), _text(model)
    for number in range(max(len(course.parts) for course in courses)):
        present = [course for course in courses if course.going and number < len(course.parts)]
        requests = [request for course in present for request in course.requests(model, number, text, began)]
        if not requests:
            return
        done = yield from denoised(model.predictor, requests)
        done, row = done.to("cpu"), 0
        for course in present:
            course.advance(model, number, done.select(torch.arange(row, row := row + len(course.going))))


def _in_blocks(settings: Settings, span: int) -> Settings:
    """Windows are attention blocks, or equal parts of them."""
    if settings.block_length is not None and span % settings.block_length:
        good = max(size for size in range(1, span + 1) if span % size == 0 and size <= settings.block_length)
        raise UserError(
            f"this network has attention blocks of {span} tokens, and windows of {settings.block_length} do not divide "
            f"them: use --block-length {good}, or leave it out"
        )
    return settings


def _left(limits: Limits, began: float) -> Limits:
    """With the milliseconds that are left; when none are, enough for the one evaluation that completes a part."""
    if limits.deadline_ms is None:
        return limits
    return replace(limits, deadline_ms=max(limits.deadline_ms - 1000 * (time.monotonic() - began), 1e-6))


def _text(model: Trained) -> HoleText:
    """Whole characters throughout; the end-of-text token may stand between characters, as a line break does.

    So may the padding after it, of models that write that.
    """
    tokens, vocabulary = list(model.tokenizer.tokens), model.tokenizer.vocabulary
    for row in (vocabulary.eos, vocabulary.pad if vocabulary.pads else None):
        if row is not None:
            tokens[row] = b"\n"
    return HoleText(tokens)
