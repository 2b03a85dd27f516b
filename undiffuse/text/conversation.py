"""A rendered conversation as tokens: control tokens where the template wrote them, everything else as plain text.

What lies between two control tokens is encoded as one text, whoever wrote it, so the ids are those that a model was
trained on; but what a message spells is never looked for control tokens, so none of its text can become one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, groupby, pairwise, repeat

from ..errors import UserError
from .codec import Codec, Control
from .template import Message, Template
from .traced import ANSWER, HOLE, SAID, Traced

PLACE = "\ue000"
"""Stands for an answer that is not written yet: a character that no template has a use for."""


@dataclass(frozen=True)
class Piece:
    """A control token, or plain text between two of them, which is never empty (`row` is None)."""

    row: int | None
    text: Traced


@dataclass(frozen=True)
class Encoded:
    """A conversation in tokens, piece by piece."""

    pieces: tuple[tuple[Piece, tuple[int, ...]], ...]
    tokenizer: Codec

    @property
    def ids(self) -> list[int]:
        return [row for _, rows in self.pieces for row in rows]

    @property
    def answer(self) -> list[bool]:
        """Which tokens hold something that the template says the model writes (`generation`)."""
        return self.having(ANSWER)

    def having(self, bit: int) -> list[bool]:
        """Which tokens hold a character with a bit of origin."""
        codecs = chain([self.tokenizer], repeat(self.tokenizer.after_control))
        listed = zip(self.pieces, codecs, strict=False)
        return [its for (piece, rows), codec in listed for its in _having(bit, piece, rows, codec)]


def pieces(text: Traced, tokenizer: Codec) -> list[Piece]:
    """A rendered conversation cut at its control tokens."""
    found: list[Piece] = []
    done = 0
    for begin, end, control in _controls(text, tokenizer.controls):
        while control.lstrip and begin > done and text.plain[begin - 1].isspace():
            begin -= 1
        while control.rstrip and end < len(text) and text.plain[end].isspace():
            end += 1
        if done < begin:
            found.append(Piece(None, text.part(done, begin)))
        if begin < end and done < end:
            found.append(Piece(control.row, text.part(begin, end)))
            done = end
    if done < len(text):
        found.append(Piece(None, text.part(done, len(text))))
    return found


def encode(text: Traced, tokenizer: Codec) -> Encoded:
    """The tokens of a rendered conversation; UserError for text that is not valid Unicode."""
    found, codec = [], tokenizer
    for piece in pieces(text, tokenizer):
        found.append((piece, tuple(codec.context(piece.text.plain)) if piece.row is None else (piece.row,)))
        codec = tokenizer.after_control
    return Encoded(tuple(found), tokenizer)


def before_answer(template: Template, messages: Sequence[Message]) -> Traced:
    """A conversation up to where its next answer begins.

    Some templates know no such place, and write only what was said: there it is where an answer would stand.
    """
    begun = template.render(messages, answer=True)
    if begun != template.render(messages, answer=False):
        return begun
    there = {"role": "assistant", "content": Traced(PLACE, bytes([SAID | HOLE]))}
    answered = template.render([*messages, there], answer=False)
    end = next((at for at, bits in enumerate(answered.origin) if bits & HOLE), None)
    return begun if end is None else answered.part(0, end)


def end_of_turn(template: Template, tokenizer: Codec) -> int | None:
    """The control token that a template writes after an answer; None where there is none."""
    said = "An answer"
    asked = [{"role": "user", "content": "A question"}, {"role": "assistant", "content": said}]
    try:
        text = template.render(asked, answer=False)
    except UserError:
        return None
    end = text.plain.rfind(said) + len(said)
    if end < len(said):
        return None
    return next((control.row for begin, _, control in _controls(text, tokenizer.controls) if begin >= end), None)


def _controls(text: Traced, controls: Mapping[str, Control]) -> Iterator[tuple[int, int, Control]]:
    """Begin and end of every control token, where every character is the template's own; the longest of several."""
    if not controls:
        return
    spelled = re.compile("|".join(map(re.escape, sorted(controls, key=len, reverse=True))))
    at = 0
    for said, run in groupby(text.origin, key=lambda bits: bits & SAID):
        length = len(list(run))
        if not said:
            for match in spelled.finditer(text.plain, at, at + length):
                yield match.start(), match.end(), controls[match[0]]
        at += length


def _having(bit: int, piece: Piece, rows: Sequence[int], tokenizer: Codec) -> list[bool]:
    """Which tokens of a piece overlap characters with a bit."""
    of_byte = [
        bool(bits & bit)
        for character, bits in zip(piece.text.plain, piece.text.origin, strict=True)
        for _ in character.encode()
    ]
    if piece.row is not None or len(set(of_byte)) < 2:
        return of_byte[:1] * len(rows)
    ends = [0, *accumulate(len(data) for _, data in tokenizer.pieces(piece.text.plain))]
    return [any(of_byte[begin:end]) for begin, end in pairwise(ends)]
