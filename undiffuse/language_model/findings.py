"""What proofreading finds: words with what would stand in their place, and where in the text they are."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from ..text.form import SPACE
from .results import Alternative
from .trained import Trained


@dataclass(frozen=True)
class Finding:
    """A word that others would replace. Put `proposals[i].text` in place of text[start:end] to follow one.

    `start` and `end` count characters, `byte_start` and `byte_end` bytes of UTF-8; `line` and `column` (characters)
    count from 1. `text` has the space before a word, if its token has. `surprise` is −log2 of `probability`, `odds` the
    bits by which the first proposal is more probable.
    """

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
    proposals: tuple[Alternative, ...]


@dataclass(frozen=True)
class Check:
    """The findings of a text, the clearest first, and what was looked at. `surprise` is the mean of all words, bits."""

    findings: tuple[Finding, ...]
    words: int
    tokens: int
    surprise: float
    threshold: float
    model: str

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "findings": [asdict(finding) for finding in self.findings]}


class Places:
    """Where each token begins: byte, character, line and column."""

    def __init__(self, text: str, pieces: Sequence[bytes]) -> None:
        self.text = text
        self.bytes = [*accumulate(map(len, pieces), initial=0)]
        firsts = (sum(byte & 0xC0 != 0x80 for byte in piece) for piece in pieces)  # of characters
        self.character = [*accumulate(firsts, initial=0)]
        self.ends = [number for number, character in enumerate(text) if character == "\n"]

    def cut(self, word: tuple[int, int]) -> str:
        begin, end = word
        return self.text[self.character[begin] : self.character[end]]

    def line(self, character: int) -> tuple[int, int]:
        before = bisect_left(self.ends, character)
        return before + 1, character - (self.ends[before - 1] if before else -1)


def finding(
    word: tuple[int, int],
    place: Places,
    own: float,
    answers: dict[str, float],
    count: int,
) -> Finding:
    """A word with ln p of it, and of what else could stand there."""
    begin, end = word
    start, text = place.character[begin], place.cut(word)
    best = sorted(answers.items(), key=lambda answer: -answer[1])[:count]
    line, column = place.line(start + (len(text) > 1 and text.startswith(SPACE)))
    return Finding(
        start=start,
        end=place.character[end],
        byte_start=place.bytes[begin],
        byte_end=place.bytes[end],
        line=line,
        column=column,
        text=text,
        tokens=end - begin,
        probability=math.exp(own),
        surprise=-own / math.log(2),
        odds=(best[0][1] - own) / math.log(2) if best else -math.inf,
        proposals=tuple(Alternative(other, math.exp(logp)) for other, logp in best),
    )


def others(
    model: Trained, ids: Sequence[int], word: tuple[int, int], text: str, answers: dict[str, float]
) -> dict[str, float]:
    """The answers that are not the word itself, spelled to stand in its place; `text` is what stands there."""
    if word[0] == 0 and model.tokenizer.continuing is not model.tokenizer:  # the space that is put before a text
        answers = {other.removeprefix(SPACE): p for other, p in sorted(answers.items(), key=lambda one: one[1])}
    if not model.tokenizer.spaced:
        return {other: p for other, p in answers.items() if other != text}
    spaced, own = text.startswith(SPACE), list(ids[slice(*word)])
    found = {other: p for other, p in answers.items() if model.tokenizer.context(other) != own}
    return {other if spaced else other.removeprefix(SPACE): p for other, p in found.items()}


def prefix(text: str) -> str:
    """The space that a word takes along."""
    return SPACE if len(text) > 1 and text.startswith(SPACE) else ""
