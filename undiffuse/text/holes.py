"""The syntax of holes, which only `fill` reads. Everywhere else these characters are plain text.

    [MASK]          one token
    [MASK:5]        five tokens
    [MASK:2-6]      two to six tokens, the number chosen by the model
    ____            four underscores or more: one to eight tokens, chosen by the model
    {name:type}     as many tokens as a text of the type takes: choice(formal|casual), yesno, date, int(1-99), /regex/
    \\[MASK] \\____   the characters themselves

A backslash has a meaning only in front of one of these. There, two stand for one: `\\\\[MASK]` is a backslash, then a
hole. A brace begins a hole only with a name, a colon and one of the types exactly as above: JSON, code and templates
stay text. What starts like `{n:int(` and does not end is a mistake; what starts like `{path:/usr` is text unless `/}`
closes it. Every name stands once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import UserError
from .typed import Type, parse_type

SHOWN = 80
"""Characters of a hole in a message."""
OPEN_RANGE = (1, 8)  # tokens in a hole written as underscores
SYNTAX = "[MASK], [MASK:5], [MASK:2-6], ____ or {name:type}"
TYPES = "choice(formal|casual), yesno, date, int(1-99) or /regex/"
HOLE = re.compile(
    r"""(?<!\\)(?P<escapes>\\*)(?P<hole>\[MASK\]|\[MASK:(?P<length>[^\]\n]*)(?P<end>\]?)|____+
    |\{(?P<name>[A-Za-z_][A-Za-z0-9_]*):
        (?P<type>(?:yesno|date)(?=\})|/(?:\\.|[^\\/\n])+/(?=\})|(?:choice|int)\((?:\\.|[^\\)\n])*\)?)(?P<close>\}?))""",
    re.VERBOSE,
)
SPACED = re.compile(
    r"""(?P<brace>\\?\{)\s*(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*:\s*
    (?P<type>yesno|date|(?:choice|int)\s*\((?:\\.|[^\\)\n])*\)|/(?:\\.|[^\\/\n])+/)\s*\}""",
    re.VERBOSE,
)
"""What would be a typed hole without its spaces, or is one without them."""
LENGTH = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")


@dataclass(frozen=True)
class Text:
    """Fixed text, escapes resolved; never empty."""

    text: str


@dataclass(frozen=True)
class Hole:
    """A blank of `minimum` to `maximum` tokens, as it was written, and where.

    A hole with a `type` holds one of its texts instead, in as many tokens as that takes.
    """

    minimum: int
    maximum: int
    source: str
    name: str = ""
    type: Type | None = None
    where: str = field(default="", compare=False)

    @property
    def named(self) -> str:
        """How a message calls it."""
        return f"{_cut(self.source)} {self.where}"


Segment = Text | Hole


def parse(source: str) -> tuple[Segment, ...]:
    """Fixed text and holes in order; UserError, with line and column, for a malformed hole or when there is none."""
    segments: list[Segment] = []
    text, end = "", 0
    for match in HOLE.finditer(source):
        escapes = match["escapes"]
        text += source[end : match.start()] + "\\" * (len(escapes) // 2)
        end = match.end()
        if len(escapes) % 2:
            text += match["hole"]
            continue
        segments += [Text(text)] if text else []
        segments.append(_hole(match))
        text = ""
    text += source[end:]
    _refuse_repeated([segment for segment in segments if isinstance(segment, Hole) and segment.name])
    if not any(isinstance(segment, Hole) for segment in segments):
        raise UserError(f"there is no hole to fill; {spaced(source) or f'write one as {SYNTAX} (types: {TYPES})'}")
    return (*segments, Text(text)) if text else tuple(segments)


def spaced(text: str) -> str:
    """How the first typed hole would be written that spaces around its name or type make plain text; "" for none."""
    for match in SPACED.finditer(text):
        kind = re.sub(r"^(choice|int)\s+", r"\1", match["type"])
        written = f"{{{match['name']}:{kind}}}"
        if match[0] != written and match["brace"] == "{":
            return f"{_cut(match[0])} is plain text: a hole is written without spaces, {written}"
    return ""


def render(segments: Sequence[Segment]) -> str:
    """The source that parses to these segments."""
    source = ""
    for segment, following in zip(segments, (*segments[1:], None), strict=True):
        if isinstance(segment, Hole):
            source += segment.source
            continue
        text = HOLE.sub(lambda match: 2 * match["escapes"] + "\\" + match["hole"], segment.text)
        bare = segment.text.rstrip("\\")
        source += text + (segment.text[len(bare) :] if isinstance(following, Hole) else "")
    return source


def _hole(match: re.Match[str]) -> Hole:
    source, where = match["hole"], _place(match.string, match.start("hole"))
    if match["name"] is not None:
        return _typed(match, source, where)
    if match["length"] is None:
        return Hole(*((1, 1) if source == "[MASK]" else OPEN_RANGE), source, where=where)
    if not match["end"]:
        raise UserError(
            f"the hole {where} is not closed: {source[:24]!r} lacks a ']' (write \\[MASK: for the plain text)"
        )
    length = LENGTH.fullmatch(match["length"])
    if length is None:
        raise UserError(f"{_cut(source)} {where} is not a hole; write {SYNTAX}, or \\{source} for the plain text")
    minimum, maximum = int(length[1]), int(length[2] or length[1])
    if minimum < 1:
        raise UserError(f"{_cut(source)} {where} holds no token; use at least [MASK:1]")
    if maximum < minimum:
        raise UserError(f"{_cut(source)} {where} ends below its start; write [MASK:{maximum}-{minimum}]")
    return Hole(minimum, maximum, source, where=where)


def _typed(match: re.Match[str], source: str, where: str) -> Hole:
    written = match["type"]
    if not match["close"] or (written[0] in "ci" and written[-1] != ")"):
        plain = f"\\{source[:12]}"
        raise UserError(
            f"the hole {where} is not closed: {source[:24]!r} lacks a ')}}' (write {plain} for the plain text)"
        )
    try:
        return Hole(1, 1, source, match["name"], parse_type(written), where)
    except ValueError as error:
        raise UserError(f"{_cut(source)} {where} is not a hole: {error}") from error


def _cut(source: str) -> str:
    """As it was written, unless that is long."""
    return repr(source if len(source) <= SHOWN else source[:SHOWN] + "…")


def _refuse_repeated(holes: Sequence[Hole]) -> None:
    names: set[str] = set()
    for place, hole in enumerate(holes):
        if hole.name in names:
            raise UserError(
                f"{hole.named} has the name of an earlier hole; each is filled by itself: "
                f"write {{{hole.name}{place + 1}:…}}"
            )
        names.add(hole.name)


def _place(source: str, offset: int) -> str:
    line = source.count("\n", 0, offset) + 1
    column = offset - (source.rfind("\n", 0, offset) + 1) + 1
    return f"at line {line}, column {column}" if "\n" in source else f"at column {column}"
