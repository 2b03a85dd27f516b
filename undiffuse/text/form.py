"""Where a text with holes lies in tokens: fixed ids, and blanks between them.

Each fixed text is tokenized alone, so nothing merges across a hole's edge. A byte-level BPE writes a word with the
space before it: in `The [MASK] of`, running text would hold " capital" after "The", and a space left over at the end of
the fixed text is a token that training never saw there. So one space before a hole goes into the hole: its fill must
begin with it, and it is taken off again where the fill is shown. A tokenizer none of whose tokens takes a space along,
as of single bytes, moves nothing. A tokenizer whose words have a space wherever they stand has one too where a text has
none, at its start, after a line break, an opening bracket or quotation mark: that one is never shown. Neither is the
one that a tokenizer puts before every text.

A hole with a type becomes an automaton over tokens, prefix included, which also says how many tokens it may take.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from unicodedata import category

from ..errors import UserError
from .automaton import Automaton
from .codec import Codec
from .holes import Hole, Segment, spaced

SPACE = " "
OPENING = ("Ps", "Pi")
QUOTES = ("'", '"')


@dataclass(frozen=True)
class Fixed:
    """Tokens that never change; never empty. `text` is what they stand for, which a tokenizer may change (NFC)."""

    ids: tuple[int, ...]
    text: str | None = None

    def bytes(self, tokenizer: Codec) -> bytes:
        """What stands in the text, bit for bit as it was given."""
        return tokenizer.decode_bytes(self.ids) if self.text is None else self.text.encode()


@dataclass(frozen=True)
class Blank:
    """`minimum` to `maximum` tokens whose bytes are `prefix` followed by at least one character.

    Where there is a `language`, by one of its texts. `hole` is what was written. A fill that is not `spaced` stands
    where the text has no space, so that one before its first word is left out.
    """

    minimum: int
    maximum: int
    prefix: bytes
    language: Automaton | None = field(default=None, compare=False)
    hole: Hole | None = field(default=None, compare=False)
    spaced: bool = True

    @property
    def lengths(self) -> Sequence[int]:
        """The numbers of tokens that it may hold."""
        return self.language.lengths if self.language else range(self.minimum, self.maximum + 1)

    def spellings(self, tokenizer: Codec) -> list[list[int]]:
        """The choices of its type in tokens, prefix included."""
        assert self.hole is not None
        assert self.hole.type is not None
        return self.hole.type.spellings(tokenizer, self.prefix.decode())

    def shown(self, fill: bytes) -> str:
        """What stands in the hole, without the space that the hole took over from the text before it."""
        return (fill.removeprefix(self.prefix) if self.prefix else self.within(fill)).decode()

    def within(self, fill: bytes) -> bytes:
        """What stands in the text, prefix included."""
        return fill if self.spaced else fill.removeprefix(SPACE.encode())


@dataclass(frozen=True)
class Form:
    """Fixed tokens and blanks in the order of the text."""

    parts: tuple[Fixed | Blank, ...]

    @property
    def blanks(self) -> tuple[Blank, ...]:
        return tuple(part for part in self.parts if isinstance(part, Blank))

    def text(self, fills: Sequence[bytes], tokenizer: Codec) -> str:
        """The whole text, one fill (prefix included) per blank. What is outside the holes comes back bit for bit."""
        remaining = iter(fills)
        pieces = (
            part.bytes(tokenizer) if isinstance(part, Fixed) else part.within(next(remaining)) for part in self.parts
        )
        return b"".join(pieces).decode()


def advice(form: Form, tokenizer: Codec) -> str | None:
    """What to tell a user who may have meant a hole that is text, or whose holes of single bytes hold no word."""
    texts = (spaced(part.text or "") for part in form.parts if isinstance(part, Fixed))
    found = next(filter(None, texts), None)
    short = [blank for blank in form.blanks if blank.maximum == 1 and not blank.language]
    if found or tokenizer.kind != "byte" or not short:
        return found
    return "this model's tokens are single bytes, so [MASK] holds one byte; write [MASK:3-8] for a word"


def form_of(segments: Sequence[Segment], tokenizer: Codec) -> Form:
    """The form of parsed segments; UserError for text that is not valid Unicode, and types without texts."""
    parts: list[Fixed | Blank] = []
    prefix, before = "", ""
    for segment, following in zip(segments, (*segments[1:], None), strict=True):
        if isinstance(segment, Hole):
            parts.append(_blank(segment, prefix, tokenizer, spaced=bool(prefix) or not unspaced(before, tokenizer)))
            prefix, before = "", "…"
            continue
        moves = isinstance(following, Hole) and segment.text.endswith(SPACE) and tokenizer.leading
        prefix, before = SPACE if moves else "", segment.text
        text, codec = segment.text.removesuffix(prefix), tokenizer.continuing if parts else tokenizer
        parts += [Fixed(tuple(codec.context(text)), text)] if text else []
    return Form(tuple(parts))


def unspaced(before: str, tokenizer: Codec) -> bool:
    """Whether a word begins after a text that ends without a space where the tokenizer has one."""
    if before[-1:] in QUOTES and (len(before) == 1 or before[-2].isspace()):
        before = before[:-1]
    if tokenizer.continuing is not tokenizer:
        return not before
    return tokenizer.spaced and (not before or before[-1].isspace() or category(before[-1]) in OPENING)


def _blank(hole: Hole, prefix: str, tokenizer: Codec, spaced: bool) -> Blank:
    if not spaced and (hole.type is not None or tokenizer.continuing is not tokenizer):
        prefix = SPACE
    if hole.type is None:
        return Blank(hole.minimum, hole.maximum, prefix.encode(), hole=hole, spaced=spaced)
    try:
        language = hole.type.automaton(tokenizer, prefix)
    except ValueError as error:
        raise UserError(f"{hole.named} cannot be filled: {error}") from error
    if not language.lengths:
        raise UserError(f"nothing can stand in {hole.named}: its expression matches no text")
    return Blank(language.lengths[0], language.lengths[-1], prefix.encode(), language, hole, spaced)
