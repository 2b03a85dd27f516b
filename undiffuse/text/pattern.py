"""Patterns of JSON schemas (ECMA's dialect) as expressions of Rust's over the characters of a JSON string.

Classes are those of ECMA: `\\d` and `\\w` hold ASCII alone, `.` none of four line ends. What JSON must escape is
written as its escape, so a fill that matches here satisfies the pattern once it is parsed. A pattern is found
anywhere in the text, unless an anchor holds it. ValueError for what cannot be promised: look-around, back-references,
word boundaries.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Ranges = list[tuple[int, int]]
LAST = 0x10FFFF
DIGIT: Ranges = [(0x30, 0x39)]
WORD: Ranges = [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)]
SPACES = "\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
SPACE: Ranges = [(ord(found[0]), ord(found[-1])) for found in re.findall(".-.|.", SPACES, re.DOTALL)]
LINE_ENDS: Ranges = [(0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029)]
CLASSES = {"d": DIGIT, "w": WORD, "s": SPACE}
CONTROLS = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}
ESCAPES = {0x22: '"', 0x5C: "\\\\", 8: "b", 9: "t", 10: "n", 12: "f", 13: "r"}
BARE: Ranges = [(0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E), (0x80, 0xD7FF), (0xE000, LAST)]
"""What may stand in a JSON string as it is; DEL is written nowhere."""
QUANTIFIER = re.compile(r"(?:([*+?])|\{([0-9]{1,9})(?:(,)([0-9]{0,9}))?\})\??")
GROUP = re.compile(r"\((?:\?:|\?<(?![=!])[^>]*>|(?!\?))")
DEPTH, SIZE = 50, 1000


@dataclass(frozen=True)
class Part:
    """An expression of `size` characters, repetitions counted, and whether it holds to the start or the end."""

    begins: bool
    body: str
    ends: bool
    size: int


def searched(pattern: str) -> str:
    """The JSON strings, without quotes, in which the pattern is found."""
    reader = _Reader(pattern)
    parts = reader.alternatives(0)
    if reader.place < len(pattern):
        raise ValueError(f"its {pattern[reader.place]!r} at {reader.place + 1} closes nothing")
    anything = f"(?:{_spelled([(0, LAST)])})*"
    return "|".join(
        ("" if part.begins else anything) + f"(?:{part.body})" + ("" if part.ends else anything) for part in parts
    )


@dataclass
class _Reader:
    pattern: str
    place: int = 0

    def _taken(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        found = expression.match(self.pattern, self.place)
        self.place = found.end() if found else self.place
        return found

    def _next(self) -> str:
        if self.place == len(self.pattern):
            raise ValueError("it ends too early")
        self.place += 1
        return self.pattern[self.place - 1]

    def alternatives(self, depth: int) -> list[Part]:
        if depth > DEPTH:
            raise ValueError(f"it is nested deeper than {DEPTH} groups")
        found = self._sequence(depth)
        while self.pattern[self.place : self.place + 1] == "|":
            self.place += 1
            found += self._sequence(depth)
        if len(found) + sum(part.size for part in found) > SIZE:
            raise ValueError(f"it takes more than {SIZE} characters; repeat less")
        return found

    def _sequence(self, depth: int) -> list[Part]:
        parts = [Part(False, "", False, 0)]
        while self.place < len(self.pattern) and self.pattern[self.place] not in "|)":
            items = self._item(depth)
            if len(parts) * len(items) > SIZE:
                raise ValueError(f"it takes more than {SIZE} alternatives; put its anchors around a group")
            parts = [_after(part, item) for part in parts for item in items]
            if sum(part.size for part in parts) > SIZE:
                raise ValueError(f"it takes more than {SIZE} characters; repeat less")
        return parts

    def _item(self, depth: int) -> list[Part]:
        start = self.place
        items = self._atom(depth)
        quantifier = self._taken(QUANTIFIER)
        if not quantifier:
            return items
        if len(items) > 1 or items[0].begins or items[0].ends:
            raise ValueError(f"it repeats an anchor: {self.pattern[start : self.place]!r}")
        sign, least, comma, most = quantifier.groups()
        low = int(least) if least else int(sign == "+")
        high = low if least and not comma else int(most) if most else 1 if sign == "?" else None
        if high is not None and high < low:
            raise ValueError(f"its {quantifier[0]!r} ends below its start")
        size = items[0].size * max(low + 1 if high is None else high, 1)
        if max(size, low, high or 0) > SIZE:
            raise ValueError(f"it takes more than {SIZE} characters; repeat less")
        return [Part(False, f"(?:{items[0].body}){{{low},{'' if high is None else high}}}", False, size)]

    def _atom(self, depth: int) -> list[Part]:
        if self._taken(GROUP):
            found = self.alternatives(depth + 1)
            if self.pattern[self.place : self.place + 1] != ")":
                raise ValueError("its ')' is missing")
            self.place += 1
            if any(part.begins or part.ends for part in found):
                return found
            return [Part(False, f"(?:{'|'.join(part.body for part in found)})", False, sum(p.size for p in found))]
        start, sign = self.place, self._next()
        if sign in "^$":
            return [Part(sign == "^", "", sign == "$", 0)]
        if sign == "(":
            raise ValueError(f"look-around and flags cannot be promised: {self.pattern[start : start + 4]!r}")
        if sign in "*+?" or QUANTIFIER.match(self.pattern, start):
            raise ValueError(f"its {sign!r} at {start + 1} repeats nothing")
        if sign == "[":
            found_ranges = self._class()
        elif sign == ".":
            found_ranges = _without(LINE_ENDS)
        else:
            found_ranges = self._escape() if sign == "\\" else _one(ord(sign))
        return [Part(False, f"(?:{_spelled(found_ranges)})", False, 1)]

    def _class(self) -> Ranges:
        negated = self.pattern[self.place : self.place + 1] == "^"
        self.place += negated
        ranges: Ranges = []
        while (sign := self._next()) != "]":
            low = self._escape(in_class=True) if sign == "\\" else _one(ord(sign))
            following = self.pattern[self.place : self.place + 2]
            if following[:1] == "-" and following[1:] not in ("]", ""):
                self.place += 1
                sign = self._next()
                high = self._escape(in_class=True) if sign == "\\" else _one(ord(sign))
                if len(low) > 1 or len(high) > 1 or low[0][0] != low[0][1] or high[0][0] != high[0][1]:
                    raise ValueError("a range in brackets lies between two characters")
                if high[0][0] < low[0][0]:
                    raise ValueError(f"its range {chr(low[0][0])}-{chr(high[0][0])} ends below its start")
                low = [(low[0][0], high[0][0])]
            ranges += low
        return _without(ranges) if negated else ranges

    def _escape(self, in_class: bool = False) -> Ranges:
        sign = self._next()
        if sign.lower() in CLASSES:
            ranges = CLASSES[sign.lower()]
            return ranges if sign.islower() else _without(ranges)
        if sign == "b" and in_class:
            return _one(8)
        code = self._taken(re.compile(r"(?<=x)([0-9a-fA-F]{2})|(?<=u)(?:([0-9a-fA-F]{4})|\{([0-9a-fA-F]{1,6})\})"))
        if code:
            return _one(int(code[1] or code[2] or code[3], 16))
        if sign in CONTROLS and not (sign == "0" and self.pattern[self.place : self.place + 1].isdigit()):
            return _one(CONTROLS[sign])
        if sign.isalnum():
            raise ValueError(f"its \\{sign} cannot be promised")
        return _one(ord(sign))


def _after(before: Part, item: Part) -> Part:
    if (item.begins and before.body) or (before.ends and item.body):
        raise ValueError("it has an anchor between characters, where no text matches")
    return Part(
        before.begins or item.begins, before.body + item.body, before.ends or item.ends, before.size + item.size
    )


def _one(code: int) -> Ranges:
    if code > LAST:
        raise ValueError(f"U+{code:X} is no character")
    return [(code, code)]


def _without(ranges: Ranges) -> Ranges:
    """All other characters."""
    found, first = [], 0
    for low, high in sorted(ranges):
        if first < low:
            found.append((first, low - 1))
        first = max(first, high + 1)
    return [*found, (first, LAST)] if first <= LAST else found


def _common(ranges: Ranges, others: Ranges) -> Iterator[tuple[int, int]]:
    for low, high in ranges:
        for first, last in others:
            if max(low, first) <= min(high, last):
                yield max(low, first), min(high, last)


def _spelled(ranges: Sequence[tuple[int, int]]) -> str:
    """One of these characters in a JSON string; those without a short escape only where there is no other."""
    bare = "".join(f"\\U{low:08X}-\\U{high:08X}" for low, high in _common(list(ranges), BARE))
    held = [code for code in range(0x60) if any(low <= code <= high for low, high in ranges)]
    short = [rf"\\{ESCAPES[code]}" for code in held if code in ESCAPES]
    spelled = [*([f"[{bare}]"] if bare else []), *short]
    long = [rf"\\u{code:04x}" for code in held if code < 0x20]
    return "|".join(spelled or long) or r"[^\s\S]"
