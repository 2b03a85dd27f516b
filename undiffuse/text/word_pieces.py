"""WordPiece tokenizers (BERT): words in pieces, of which all but the first are marked, and spaces are left out.

A tokenizer that leaves spaces out also leaves out how a text is written: it may lower its case and take its accents
off. So pieces are read back with a space before each word, and without one before what closes or stands inside a
phrase; texts of users are never read back from their ids.
"""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import tokenizers

from ..errors import UserError
from ..vocabulary import Vocabulary
from .codec import Codec, Control, Kind
from .form import OPENING
from .published_tokenizer import added_tokens, check_rows, controls_of, read_library
from .surroundings import Surroundings, surroundings_of
from .tokenizer import utf8

CLOSES = frozenset("%°")
WIDE = ((0x2E80, 0xA4CF), (0xF900, 0xFAFF), (0xFE30, 0xFE4F), (0x20000, 0x3FFFF))
"""Scripts that are written without spaces: ideographs and kana, each of which is a word to this tokenizer."""


@dataclass(frozen=True, eq=False)
class WordPieces(Codec):
    """A WordPiece in the form of `tokenizer.json`, for a table of `rows.rows` rows."""

    content: Mapping[str, Any]
    rows: Vocabulary

    def __post_init__(self) -> None:
        vocabulary = self.content["model"].get("vocab")
        check_rows(vocabulary, self.content, self.rows)
        if self._unknown is None:
            raise UserError("tokenizer.json: its unk_token is not in its vocabulary; copy it again")

    @property
    def vocabulary(self) -> Vocabulary:
        return self.rows

    @property
    def kind(self) -> Kind:
        return "wordpiece"

    @property
    def spaced(self) -> bool:
        return True

    def to_json(self) -> str:
        """The content of its `tokenizer.json`."""
        return json.dumps(self.content, ensure_ascii=False)

    @cached_property
    def digest(self) -> str:
        """A hash of its content."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @cached_property
    def controls(self) -> Mapping[str, Control]:
        # what stands for text without a token is no control token: any text may hold it
        return {text: control for text, control in controls_of(self.content).items() if control.row != self._unknown}

    @cached_property
    def surroundings(self) -> Surroundings:
        return surroundings_of(self.content)

    @property
    def _unknown(self) -> int | None:
        return self.content["model"]["vocab"].get(self.content["model"].get("unk_token", "[UNK]"))

    @cached_property
    def tokens(self) -> tuple[bytes, ...]:
        model, tokens = self.content["model"], [b""] * self.rows.rows
        inside, added = model.get("continuing_subword_prefix", "##"), added_tokens(self.content)
        for spelling, row in model["vocab"].items():
            if row == self._unknown or spelling in added or _unused(spelling):
                continue
            begins = not spelling.startswith(inside) or spelling == inside
            text = spelling if begins else spelling.removeprefix(inside)
            tokens[row] = (f" {text}" if begins and not _leans(text) else text).encode()
        for row in self.rows.unpredictable:
            tokens[row] = b""
        return tuple(tokens)

    @cached_property
    def _library(self) -> tokenizers.Tokenizer:
        return read_library(self.content)

    def encode(self, text: str) -> list[int]:
        return [row for row, _ in self.pieces(text)]

    def context(self, text: str) -> list[int]:
        utf8(text)
        return self._library.encode(text, add_special_tokens=False).ids

    def pieces(self, text: str) -> list[tuple[int, bytes]]:
        utf8(text)
        found = self._library.encode(text, add_special_tokens=False)
        if self._unknown in found.ids:
            start, end = found.offsets[found.ids.index(self._unknown)]
            raise UserError(f"this model's tokenizer has no token for {text[start:end]!r}: leave it out")
        # a word has the space before it, and other blanks belong to the word before them
        starts = [start - (text[start - 1 : start] == " ") for start, _ in found.offsets]
        cuts = [*starts, len(text)]
        if starts:
            cuts[0] = 0
        return [(row, text[a:b].encode()) for row, a, b in zip(found.ids, cuts, cuts[1:], strict=False)]


def _leans(text: str) -> bool:
    """Whether a token that begins a word stands right after the one before it."""
    if len(text) > 1:
        return False
    kind = unicodedata.category(text)
    wide = any(first <= ord(text) <= last for first, last in WIDE)
    return wide or text in CLOSES or (kind.startswith("P") and kind not in OPENING)


def _unused(spelling: str) -> bool:
    """A row that a table holds in reserve, which no text becomes."""
    return spelling.startswith("[unused") and spelling.endswith("]")
