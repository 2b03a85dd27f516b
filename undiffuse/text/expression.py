"""Regular expressions in the dialect of Rust's `regex` crate, as positions over bytes.

outlines-core, which is that crate, says which bytes a class such as `\\p{L}`, `[^a-z]` or `(?i)k` takes, and whether
the whole can be read; groups, alternatives and repetitions are put together here. Anchors hold anyway where a text is
matched whole: one that no text could satisfy is refused.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ..errors import UserError
from .positions import BYTES, Positions, of_bytes, of_transitions

BEGIN, END = ("^", "\\A"), ("$", "\\z")
"""What holds at the start and at the end of a text."""
DEPTH = 120
"""Groups in groups; the library takes some more."""
GROUP = re.compile(r"\((?:\?(?:P?<[^>=!]*>|(?P<flags>[a-zA-Z]*(?:-[a-zA-Z]+)?)(?P<sign>[:)]))|(?!\?))")
ESCAPE = re.compile(
    r"\\(?:[pP](?:\{[^}]*\}|.)|x(?:\{[^}]*\}|..)|u(?:\{[^}]*\}|.{4})|U(?:\{[^}]*\}|.{8})|b\{[a-z-]*\}|.)", re.DOTALL
)
QUANTIFIER = re.compile(r"(?:([*+?])|\{\s*([0-9]+)\s*(?:(,)\s*([0-9]*)\s*)?\})\??")
BLANK = re.compile(r"(?:\s|#[^\n]*)+")
BOUNDARY = re.compile(r"\\[bB<>]")
NOTHING = "[^\\s\\S]"
"""Matches no character: what stands behind it is read and leads nowhere."""


@dataclass
class _Group:
    """What is known of a group while it is read.

    Its flags; whether it, its present place, stands at the very start of the text; whether its present alternative or
    an earlier one was held to the end; whether it has anchors, or anything else; its earlier alternatives, the present
    one, and the last item of that, which may still be repeated.
    """

    flags: frozenset[str]
    first: bool
    here: bool
    ended: bool = False
    any_ended: bool = False
    anchored: bool = False
    filled: bool = False
    before: Positions | None = None
    branch: Positions = field(default_factory=Positions)
    item: Positions | None = None
    item_is_anchored: bool = False

    def take(self, item: Positions | None, anchored: bool = False) -> None:
        """Puts what came before behind the rest: it is not repeated."""
        if self.item is not None:
            self.branch.then(self.item)
        self.item, self.item_is_anchored = item, anchored

    def end_alternative(self) -> Positions:
        """The alternatives so far."""
        self.take(None)
        found = self.branch
        if self.before is not None:
            found = self.before
            found.either(self.branch)
        self.before, self.branch = found, Positions()
        return found


def read(expression: str) -> Positions:
    """The texts that an expression matches as a whole. ValueError for what cannot be read or takes too many states."""
    kept: list[str] = []
    groups = [_Group(frozenset(), True, True)]
    place = 0
    while place < len(expression):
        group = groups[-1]
        if "x" in group.flags and (blank := BLANK.match(expression, place)):
            place = blank.end()
            continue
        quantifier = QUANTIFIER.match(expression, place)
        piece = quantifier[0] if quantifier else _piece(expression, place)
        place += len(piece)
        if quantifier:
            _repeat(group, quantifier)
        elif piece in BEGIN or piece in END:
            _hold(group, piece)
            continue
        elif piece == "|":
            group.end_alternative()
            group.any_ended |= group.ended
            group.here, group.ended = group.first, False
        elif piece == ")":
            _close(groups)
        elif piece[0] == "(":
            _open(groups, piece)
        else:
            _refuse_after_end(group)
            group.here, group.filled = False, True
            group.take(_character(piece, group.flags))
        kept.append(piece)
    if len(groups) > 1:
        raise ValueError("a group is not closed: its ')' is missing")
    found = groups[0].end_alternative()
    written = "".join(kept)
    _index(f"{NOTHING}(?:{written})", written)  # whether the library reads the whole
    return found


def _piece(expression: str, place: int) -> str:
    """An escape, a class, the start of a group, or one character."""
    sign = expression[place]
    if sign == "\\":
        found = ESCAPE.match(expression, place)
        if not found:
            raise ValueError("it ends with a \\")
        return found[0]
    if sign == "(":
        group = GROUP.match(expression, place)
        if not group:
            raise ValueError(f"its {expression[place : place + 4]!r} cannot be read; Rust's dialect has no look-around")
        return group[0]
    return expression[place : _class_end(expression, place)] if sign == "[" else sign


def _class_end(expression: str, start: int) -> int:
    """Where a class ends that begins at `start`; classes stand in classes."""
    place, depth = start, 0
    while place < len(expression):
        sign = expression[place]
        if sign == "[":
            depth += 1
            place += 1 + expression.startswith("^", place + 1)
            place += expression.startswith("]", place)
            continue
        place += 2 if sign == "\\" else 1
        depth -= sign == "]"
        if depth == 0:
            return place
    raise ValueError("a class is not closed: its ']' is missing")


def _repeat(group: _Group, quantifier: re.Match[str]) -> None:
    sign, low, comma, high = quantifier.groups()
    if group.item is None:
        raise ValueError(f"its {quantifier[0]!r} repeats nothing")
    if group.item_is_anchored and sign != "?":
        raise ValueError(f"it repeats a group with an anchor ({quantifier[0]} after ')'); anchors stand outside of it")
    least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(sign) or (
        _number(low),
        _number(high) if high else None if comma else _number(low),
    )
    if most is not None and most < least:
        raise ValueError(f"its {quantifier[0]!r} ends below its start")
    group.item, group.item_is_anchored = group.item.repeated(least, most), False


def _number(written: str) -> int:
    return int(written) if len(written) < 9 else 10**9


def _hold(group: _Group, anchor: str) -> None:
    if anchor in BEGIN and not group.here:
        raise ValueError(f"its {anchor} stands after something, where no text can begin")
    group.take(None)
    group.anchored = True
    group.ended |= anchor in END


def _refuse_after_end(group: _Group) -> None:
    if group.ended:
        raise ValueError("its $ stands before something, where no text can end")


def _open(groups: list[_Group], piece: str) -> None:
    outer = groups[-1]
    found = GROUP.fullmatch(piece)
    assert found
    on, _, off = (found["flags"] or "").partition("-")
    flags = outer.flags.union(on).difference(off)
    if found["sign"] == ")":
        outer.take(None)
        outer.flags = flags
        return
    _refuse_after_end(outer)
    if len(groups) > DEPTH:
        raise ValueError(f"it is nested deeper than {DEPTH} groups")
    groups.append(_Group(flags, outer.here, outer.here))


def _close(groups: list[_Group]) -> None:
    if len(groups) == 1:
        raise ValueError("its ')' closes nothing")
    group = groups.pop()
    outer = groups[-1]
    outer.take(group.end_alternative(), group.anchored)
    outer.ended |= group.ended or group.any_ended
    outer.anchored |= group.anchored
    outer.filled |= group.filled
    outer.here &= not group.filled


def _character(piece: str, flags: frozenset[str]) -> Positions:
    """One character of a class, or a literal one."""
    if len(piece) == 1 and piece != "." and not flags:
        return of_bytes(piece.encode())
    if BOUNDARY.match(piece):
        raise ValueError(f"its {piece} cannot be promised: a hole has no word boundaries")
    return _of_class(f"(?{''.join(sorted(flags))}){piece}" if flags else piece)


@lru_cache(maxsize=4096)
def _of_class(written: str) -> Positions:
    index = _index(written, written)
    if index is None:
        return Positions(empty=False)
    return of_transitions(index.get_initial_state(), index.get_transitions(), set(index.get_final_states()))


def _index(expression: str, shown: str) -> Any:
    """The library's automaton over bytes; None where nothing matches."""
    try:
        from outlines_core import Index, Vocabulary
    except ImportError as error:
        raise UserError("typed holes need outlines-core: pip install 'undiffuse[constrain]'") from error
    try:
        return Index(expression, Vocabulary(BYTES, {bytes([byte]): [byte] for byte in range(BYTES)}))
    except ValueError as error:
        if "Found no transitions" in str(error):
            return None
        raise ValueError(f"its expression cannot be read in Rust's dialect: {shown}") from error
