"""Strings that know where each of their characters came from, whatever a template does to them.

A chat template glues the texts of strangers to marks that only a template may write. Here the texts carry their origin
along: cut, trimmed, upper-cased and joined, a character stays one of a message. What an operation cannot follow
counts as a message's as a whole, so nothing of a message is ever taken for the template's.
"""

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, SupportsIndex

SAID, ANSWER, HOLE = 1, 2, 4
"""Bits of an origin: text of a message; text in a `generation` span; the place of a blank. 0: the template's own."""


class Traced(str):
    """A string with the origin of every character; wholly of a message where nothing else is said."""

    __slots__ = ("_origin",)  # underscored: templates cannot read it
    _origin: bytes

    def __new__(cls, text: str = "", origin: bytes | None = None) -> "Traced":
        made = super().__new__(cls, text)
        made._origin = bytes([SAID]) * len(made) if origin is None else origin
        assert len(made._origin) == len(made)
        return made

    @classmethod
    def of(cls, text: str) -> "Traced":
        """A string as it is, plain ones as the template's own."""
        return text if isinstance(text, Traced) else cls(text, bytes(len(text)))

    @property
    def origin(self) -> bytes:
        """One number per character."""
        return self._origin

    @property
    def plain(self) -> str:
        """The string alone."""
        return super().__str__()

    def part(self, begin: int, end: int) -> "Traced":
        """The characters from `begin` to before `end`."""
        return Traced(self.plain[begin:end], self._origin[begin:end])

    def marked(self, bit: int) -> "Traced":
        """The same with one more bit at every character."""
        return Traced(self, bytes(each | bit for each in self._origin))

    def _part(self, begin: int, text: str) -> "Traced":
        return Traced(text, self._origin[begin : begin + len(text)])

    def _parts(self, texts: Iterable[str]) -> list[str]:
        """Pieces of the string in order, found again."""
        at, found = 0, []
        for text in texts:
            at = str.find(self, text, at)
            found.append(self._part(at, text))
            at += len(text)
        return list(found)

    def _alike(self, text: str) -> "Traced":
        """What became of each character, where none became several."""
        return Traced(text, self._origin if len(text) == len(self) else bytes([reach(self)]) * len(text))

    def __str__(self) -> str:
        return self

    def __iter__(self) -> Iterator[str]:
        return (self._part(at, character) for at, character in enumerate(str.__iter__(self)))

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        origin = self._origin[key] if isinstance(key, slice) else self._origin[operator.index(key) :][:1]
        return Traced(super().__getitem__(key), origin)

    def __add__(self, other: str) -> str:
        return joined([self, other]) if isinstance(other, str) else NotImplemented

    def __radd__(self, other: str) -> str:
        return joined([other, self]) if isinstance(other, str) else NotImplemented

    def __mul__(self, count: SupportsIndex) -> str:
        return Traced(super().__mul__(count), self._origin * operator.index(count))

    __rmul__ = __mul__

    def join(self, texts: Iterable[str], /) -> str:
        pieces: list[str] = []
        for text in texts:
            pieces += [self, text] if pieces else [text]
        return joined(pieces)

    def strip(self, characters: str | None = None, /) -> str:
        return Traced.of(self.lstrip(characters)).rstrip(characters)

    def lstrip(self, characters: str | None = None, /) -> str:
        kept = super().lstrip(characters)
        return self._part(len(self) - len(kept), kept)

    def rstrip(self, characters: str | None = None, /) -> str:
        return self._part(0, super().rstrip(characters))

    def removeprefix(self, prefix: str, /) -> str:
        kept = super().removeprefix(prefix)
        return self._part(len(self) - len(kept), kept)

    def removesuffix(self, suffix: str, /) -> str:
        return self._part(0, super().removesuffix(suffix))

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        return self._parts(super().split(sep, maxsplit))

    def rsplit(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        return self._parts(super().rsplit(sep, maxsplit))

    def splitlines(self, keepends: bool = False) -> list[str]:
        return self._parts(super().splitlines(keepends))

    def partition(self, sep: str, /) -> tuple[str, str, str]:
        first, between, rest = self._parts(super().partition(sep))
        return first, between, rest

    def rpartition(self, sep: str, /) -> tuple[str, str, str]:
        first, between, rest = self._parts(super().rpartition(sep))
        return first, between, rest

    def replace(self, old: str, new: str, count: SupportsIndex = -1, /) -> str:
        if not old:
            return Traced(super().replace(old, new, count))
        # where something of a message stood is what the message asked for
        return Traced.of(followed(new, reach(self))).join(self.split(old, count))

    def upper(self) -> str:
        return self._alike(super().upper())

    def lower(self) -> str:
        return self._alike(super().lower())

    def title(self) -> str:
        return self._alike(super().title())

    def capitalize(self) -> str:
        return self._alike(super().capitalize())

    def casefold(self) -> str:
        return self._alike(super().casefold())

    def swapcase(self) -> str:
        return self._alike(super().swapcase())


def joined(pieces: Iterable[object]) -> Traced:
    """One string after the other, each with its origin."""
    parts = [Traced.of(shown(piece)) for piece in pieces]
    return Traced("".join(parts), b"".join(part.origin for part in parts))


def shown(value: object) -> str:
    """A value as a template writes it; what is no string and holds one of a message counts as a message's."""
    return value if isinstance(value, str) else followed(str(value), reach(value))


def reach(value: object, depth: int = 8) -> int:
    """SAID where a value holds text of a message, is of a kind that may, or is too deep to look; else 0."""
    if isinstance(value, Traced):
        return SAID if any(each & SAID for each in value.origin) else 0
    if isinstance(value, str | int | float | None):
        return 0
    if isinstance(value, Mapping):
        value = [*value.keys(), *value.values()]
    if not isinstance(value, list | tuple) or not depth:
        return SAID
    return SAID if any(reach(each, depth - 1) for each in value) else 0


def followed(text: str, bits: int) -> str:
    """What a function made of strings of some origin: a string that lost its own is of that as a whole."""
    return text if isinstance(text, Traced) or not bits else Traced(text, bytes([bits]) * len(text))


def from_message(value: Any) -> Any:
    """The same value with every string in it as text of a message."""
    if isinstance(value, str):
        return value if isinstance(value, Traced) else Traced(value)
    if isinstance(value, Mapping):
        return {name: from_message(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [from_message(each) for each in value]
    return value
