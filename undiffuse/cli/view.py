"""The canvas as it denoises: one `Event` becomes one frame for the terminal.

Every state of a token has a color and a shape, so that it can be told without color:

    fixed text      plain                      pending      ░ for each token
    decided before  underlined                 of a later block  ·
    just decided    ‹between angle quotes›     revised      ~between waves~

The view lays out lines itself, in terminal cells, because it must know on which line something happened: that line
stays in sight when the canvas is taller than the terminal.
"""

import codecs
import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.console import Group
from rich.text import Text

from ..visible import safe

if TYPE_CHECKING:
    from ..decode.event import Event


class Status(enum.IntEnum):
    """What happened to a token; the higher value wins where a character is made of bytes of several tokens."""

    FIXED = 0
    DECIDED = 1
    COMMITTED = 2
    REVISED = 3
    PENDING = 4
    LATER = 5


_STYLE = {
    Status.FIXED: "",
    Status.DECIDED: "underline cyan",
    Status.COMMITTED: "bold underline green",
    Status.REVISED: "bold underline magenta",
    Status.PENDING: "yellow",
    Status.LATER: "dim yellow",
}


@dataclass(frozen=True)
class Marks:
    """The characters of the view, for terminals with and without Unicode."""

    pending: str = "░"
    later: str = "·"
    committed: tuple[str, str] = ("‹", "›")
    revised: tuple[str, str] = ("~", "~")
    newline: str = "↵"
    tab: str = "⇥"
    dots: str = "…"
    dot: str = "·"


UNICODE = Marks()
ASCII = Marks(pending="_", later=".", committed=("<", ">"), newline="\\n", tab="\\t", dots="...", dot="|")


@dataclass(frozen=True)
class Glyph:
    """What stands in one place of a line: a character with its combining marks, or a mark of the view."""

    text: str
    status: Status
    ends_line: bool = False

    @property
    def width(self) -> int:
        return cell_len(self.text)


Line = list[Glyph]
Piece = Callable[[int], bytes]
"""The bytes that a token stands for."""


def frame(event: "Event", piece: Piece, width: int, height: int | None = None, marks: Marks = UNICODE) -> Group:
    """The canvases of an event, one under the other, in at most `height` lines (None: as many as needed)."""
    rows = list(range(event.ids.shape[0]))
    shown = rows if height is None else rows[: max(1, height // 3)]  # a title, a line of text and one to spare
    parts = []
    for row in shown:
        share = None if height is None else (height - (len(shown) < len(rows))) // len(shown) - 1
        title = _title(event, row, len(rows), marks)
        title.truncate(width, overflow="crop")
        parts += [title, *_canvas(event, row, piece, width, share, marks)]
    if len(shown) < len(rows):
        parts.append(Text(f"{marks.dots} {len(rows) - len(shown)} more samples", style="dim"))
    return Group(*parts)


def _title(event: "Event", row: int, rows: int, marks: Marks) -> Text:
    tokens = int((event.editable & event.valid)[row].sum())
    pending = int((event.pending & event.valid)[row].sum())
    words = [f"sample {row + 1} of {rows}"] if rows > 1 else []
    words += [f"step {event.step}", f"{tokens - pending} of {tokens} tokens", f"{int(event.nfe[row])} evaluations"]
    return Text(f" {marks.dot} ".join(words), style="dim", no_wrap=True)


def _canvas(event: "Event", row: int, piece: Piece, width: int, height: int | None, marks: Marks) -> list[Text]:
    glyphs = _bracketed(_glyphs(_characters(_statuses(event, row), piece), marks), marks)
    lines = wrap(list(glyphs), width)
    if height is None or len(lines) <= height:
        return [_text(line) for line in lines]
    says = height >= 3  # room for what is hidden above and below
    first, last = window(lines, height - 2 if says else max(1, height))
    above = [Text(f"{marks.dots} {first} lines above", style="dim")] if says and first else []
    below = [Text(f"{marks.dots} {len(lines) - last} lines below", style="dim")] if says and last < len(lines) else []
    return [*above, *map(_text, lines[first:last]), *below]


def _statuses(event: "Event", row: int) -> Iterator[tuple[int | None, Status]]:
    """Token and status of every position that exists; no token where it is undecided, or was taken back."""
    names = ("ids", "valid", "pending", "committed", "revised", "editable", "window")
    for token, valid, pending, committed, revised, editable, present in zip(
        *(getattr(event, name)[row].tolist() for name in names), strict=True
    ):
        if not valid:
            continue
        if revised:
            yield None if pending else token, Status.REVISED
        elif pending:
            yield None, Status.PENDING if present else Status.LATER
        elif committed:
            yield token, Status.COMMITTED
        else:
            yield token, Status.DECIDED if editable else Status.FIXED


def _characters(tokens: Iterator[tuple[int | None, Status]], piece: Piece) -> Iterator[tuple[str, Status]]:
    """Characters with their status; an undecided token is one empty string. Bytes that are not UTF-8 show as `�`."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    held = Status.FIXED
    for token, status in tokens:
        if token is None:
            yield from ((character, held) for character in decoder.decode(b"", final=True))
            yield "", status
            decoder.reset()
            held = Status.FIXED
            continue
        for byte in piece(token):
            held = max(held, status)
            characters = decoder.decode(bytes((byte,)))
            yield from ((character, held) for character in characters)
            if characters:
                held = status if decoder.getstate()[0] else Status.FIXED
    yield from ((character, held) for character in decoder.decode(b"", final=True))


def _glyphs(characters: Iterator[tuple[str, Status]], marks: Marks) -> Iterator[Glyph]:
    """Characters as they are drawn: combining marks and joined emoji stay together, controls become visible."""
    held: Glyph | None = None
    for character, status in characters:
        joins = character and held and (cell_len(character) == 0 or held.text.endswith("\u200d"))
        if joins and held and safe(character) == character and character not in "\n\t":
            held = replace(held, text=held.text + character, status=max(held.status, status))
            continue
        if held:
            yield held
        undecided = marks.later if status is Status.LATER else marks.pending
        drawn = {"": undecided, "\n": marks.newline, "\t": marks.tab}.get(character) or safe(character)
        held = Glyph(drawn, status, ends_line=character == "\n")
    if held:
        yield held


def _bracketed(glyphs: Iterator[Glyph], marks: Marks) -> Iterator[Glyph]:
    """Opening and closing marks around each run of glyphs that were just decided or revised."""
    pairs = {Status.COMMITTED: marks.committed, Status.REVISED: marks.revised}
    for status, run in groupby(glyphs, key=lambda glyph: glyph.status):
        if status not in pairs:
            yield from run
            continue
        opening, closing = pairs[status]
        yield Glyph(opening, status)
        *body, last = run
        yield from body
        yield replace(last, ends_line=False)
        yield Glyph(closing, status, ends_line=last.ends_line)


def wrap(glyphs: Sequence[Glyph], width: int) -> list[Line]:
    """Lines of at most `width` cells, broken after a space where there is one. No glyph is dropped."""
    lines: list[Line] = [[]]
    used = 0
    for glyph in glyphs:
        if used + glyph.width > width and lines[-1]:
            line = lines[-1]
            spaces = [place for place, earlier in enumerate(line, start=1) if earlier.text == " "]
            cut = spaces[-1] if spaces else len(line)
            lines[-1], rest = line[:cut], line[cut:]
            lines.append(rest)
            used = sum(earlier.width for earlier in rest)
        lines[-1].append(glyph)
        used += glyph.width
        if glyph.ends_line:
            lines.append([])
            used = 0
    return lines if lines[-1] or len(lines) == 1 else lines[:-1]


def window(lines: Sequence[Line], height: int) -> tuple[int, int]:
    """First and last (exclusive) line to show: around the last change, else around the first pending token."""
    changed = [n for n, line in enumerate(lines) if any(g.status in (Status.COMMITTED, Status.REVISED) for g in line)]
    pending = [n for n, line in enumerate(lines) if any(g.status is Status.PENDING for g in line)]
    middle = changed[-1] if changed else pending[0] if pending else 0
    first = max(0, min(middle - height // 2, len(lines) - height))
    return first, min(first + height, len(lines))


def _text(line: Line) -> Text:
    """A line with its styles. No underline runs below the space before a word: it would not read as one."""
    text = Text(no_wrap=True)
    for status, run in groupby(line, key=lambda glyph: glyph.status):
        drawn = "".join(glyph.text for glyph in run)
        word = drawn.lstrip(" ") or drawn
        if status is Status.DECIDED:
            text.append(drawn[: len(drawn) - len(word)])
            drawn = word
        text.append(drawn, _STYLE[status])
    return text
