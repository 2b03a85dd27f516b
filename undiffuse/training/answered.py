"""What a fine-tune changed, for its report: held-out answers before and after, in numbers and in words."""

import math
from dataclasses import dataclass
from statistics import median

from ..data.corpus import Corpus, Document
from ..data.packing import told
from ..data.speech import lengths
from ..errors import UserError
from ..language_model import LanguageModel
from ..language_model.defaults import filling
from ..language_model.results import Score
from ..language_model.voice import KEY
from .assembly import Assembly

SHOWN = 3
"""Held-out prompts that are answered."""
LONGEST = 64
"""Tokens of an answer that is shown, at most, where it has no canvas."""


@dataclass(frozen=True)
class Example:
    """A held-out prompt, its answer, and what the model answers before and after."""

    prompt: str
    expected: str
    before: str
    after: str


@dataclass(frozen=True)
class Answered:
    """Perplexities are per token of the held-out answers; `kind` says what they are. Lengths are in tokens."""

    kind: str
    before: float
    after: float
    answers: int
    shortest: int
    median: float
    longest: int
    learned: float
    canvas: int
    padding: str
    examples: tuple[Example, ...]


def answered(assembly: Assembly, context: int, before: LanguageModel, was: Score, after: LanguageModel) -> Answered:
    """`was` is the likelihood of the held-out answers before; that of `after` stands in its manifest."""
    how = assembly.answering(context)
    listed = told(assembly.train.documents, how)
    sizes = lengths(listed)
    now = after.manifest["training"]["bound"]
    return Answered(
        kind=now["kind"],
        before=math.exp(min(was.nats_per_token[0], 700.0)),
        after=math.exp(min(now["nats_per_token"]["mean"], 700.0)),
        answers=len(sizes),
        shortest=min(sizes),
        median=median(sizes),
        longest=max(sizes),
        learned=sum(sizes) / sum(len(each.ids) for each in listed),
        canvas=how.canvas,
        padding=how.padding,
        examples=tuple(_examples(assembly.valid, how.canvas or min(max(2 * max(sizes), 16), LONGEST), before, after)),
    )


def _examples(valid: Corpus, length: int, before: LanguageModel, after: LanguageModel) -> list[Example]:
    asked = [document for document in valid.documents if document.answers][:SHOWN]
    return [
        Example(_prompt(each), _expected(each), _answer(before, each, length), _answer(after, each, length))
        for each in asked
    ]


def _prompt(document: Document) -> str:
    """What is asked last."""
    return document.prompt if document.prompt is not None else document.messages[-2].content


def _expected(document: Document) -> str:
    return document.messages[-1].content if document.messages else document.text


def _answer(model: LanguageModel, document: Document, length: int) -> str:
    """The best text, or nearly, where noise must draw; what cannot be answered says why."""
    turns = [{"role": turn.role, "content": turn.content} for turn in document.messages[:-1]]
    asked = turns or [{"role": "user", "content": document.prompt or ""}]
    try:
        if KEY in model.manifest:
            return model.chat(asked, length=length).text
        prompt, heat = document.prompt or "", filling(model.predictor, None, None, 1)[1]
        return model.generate(prompt, length=length, temperature=heat or 0.0)[0].text.removeprefix(prompt)
    except UserError as error:
        return f"(no answer: {error})"
