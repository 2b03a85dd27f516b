"""How what is asked and answered becomes tokens, and which of them are learned, how much.

Plainly, a prompt stands before its response. With a chat template it is the conversation that the model was made to
answer in, and the same tokens as when it answers: the template writes, its control tokens are looked for in what it
writes alone, and what becomes of an answer's characters is traced. An answer is learned together with the control
token that ends it.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from ..errors import UserError
from ..text.codec import Codec
from ..text.conversation import encode
from ..text.template import Template
from ..text.traced import HOLE, SAID, Traced
from .corpus import ANSWERS, Document, Turn


@dataclass(frozen=True)
class Told:
    """Tokens of a document; `weight` of each (0: only read), and which `answer` it is part of (−1: of none)."""

    ids: list[int]
    weight: list[float]
    answer: list[int]


class Speech(ABC):
    """From documents to tokens."""

    @abstractmethod
    def told(self, document: Document) -> Told:
        """UserError for what cannot be said so."""


@dataclass(frozen=True, eq=False)
class Plain(Speech):
    """Prompt, response, end of text."""

    tokenizer: Codec
    begins: tuple[int, ...] = ()

    def told(self, document: Document) -> Told:
        if document.messages:
            raise UserError(
                "the text has conversations, and this model has no chat template to write them in: name one "
                "(--template FILE, or chatml), or give prompts and responses"
            )
        prompt = [] if document.prompt is None else [*self.begins, *self.tokenizer.encode(document.prompt)]
        codec = self.tokenizer.continuing if prompt else self.tokenizer
        eos = self.tokenizer.vocabulary.eos
        response = codec.encode(document.text) + ([] if eos is None else [eos])
        return Told(
            prompt + response,
            [0.0] * len(prompt) + [1.0] * len(response),
            [-1] * len(prompt) + [0] * len(response),
        )


@dataclass(frozen=True, eq=False)
class Templated(Speech):
    """A conversation as a chat template writes it; a prompt is a user's message, and its response the answer."""

    tokenizer: Codec
    template: Template

    def told(self, document: Document) -> Told:
        turns = document.messages or (Turn("user", document.prompt or ""), Turn(ANSWERS, document.text))
        learned = [turn for turn in turns if turn.learned and turn.content.strip()]
        messages = [{"role": turn.role, "content": _content(turn)} for turn in turns]
        said = encode(self.template.render(messages, answer=False), self.tokenizer)
        ids, within = said.ids, said.having(HOLE)
        runs = [(inside, len(list(run))) for inside, run in groupby(within)]
        if sum(inside for inside, _ in runs) != len(learned):
            raise UserError(
                f"{self.template.where} does not write every answer of a conversation as it is, with something "
                f"between: {len(learned)} answers, {sum(inside for inside, _ in runs)} of them found. It cannot be "
                "used to train; name another (--template)"
            )
        weight, answer, number = [0.0] * len(ids), [-1] * len(ids), 0
        never, at = set(self.tokenizer.vocabulary.unpredictable), 0
        for inside, size in runs:
            if inside:
                end = at + size
                closed = end + (end < len(ids) and ids[end] in self._controls and ids[end] not in never)
                for place in range(at, closed):
                    weight[place], answer[place] = learned[number].weight, number
                number += 1
            at += size
        self._close(ids, weight, answer)
        return Told(ids, weight, answer)

    @property
    def _controls(self) -> set[int]:
        return {control.row for control in self.tokenizer.controls.values()}

    def _close(self, ids: list[int], weight: list[float], answer: list[int]) -> None:
        """What follows the last learned answer is dropped; where no control token ends it, the end of text does."""
        last = len(answer) - answer[::-1].index(max(answer))
        del ids[last:], weight[last:], answer[last:]
        eos = self.tokenizer.vocabulary.eos
        if eos is not None and ids[-1] not in self._controls:
            ids.append(eos)
            weight.append(weight[-1])
            answer.append(answer[-1])


def _content(turn: Turn) -> str:
    return Traced(turn.content, bytes([SAID | HOLE]) * len(turn.content)) if turn.learned else turn.content


def lengths(told: Sequence[Told]) -> list[int]:
    """Learned tokens of each answer, for whoever reports them."""
    found: list[int] = []
    for each in told:
        count = [0] * (max(each.answer, default=-1) + 1)
        for answer in each.answer:
            if answer >= 0:
                count[answer] += 1
        found += count
    return found
