"""Stop strings: a text ends before the first of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UserError
from ..text.tokenizer import utf8
from .arguments import many


@dataclass(frozen=True)
class Until:
    """Strings that end a text, looked for in its bytes: tokens may hold parts of them, and more than them."""

    strings: tuple[str, ...] = ()

    @classmethod
    def of(cls, until: str | Sequence[str]) -> "Until":
        """One string or several; UserError for what is none, or empty."""
        strings = (until,) if isinstance(until, str) else tuple(many("until", until))
        for string in strings:
            if not isinstance(string, str) or not utf8(string):
                raise UserError(f"a text ends before a string of one character at least, not before {string!r}")
        return cls(strings)

    def found(self, data: bytes) -> tuple[int, str] | None:
        """Where the first of them begins, in bytes, and which it is, the longest of several; None where none does."""
        places = [(data.find(string.encode()), -len(string), string) for string in self.strings]
        place, _, string = min((each for each in places if each[0] >= 0), default=(-1, 0, ""))
        return (place, string) if string else None

    def certain(self, data: bytes) -> bool:
        """Whether a string is found and stays the one, whatever follows: none that began before it goes on."""
        found = self.found(data)
        if found is None:
            return False
        place, string = found
        open_ = (other.encode() for other in self.strings if other != string)
        return not any(
            other.startswith(data[begin:])
            for other in open_
            for begin in range(max(len(data) - len(other) + 1, 0), min(place + 1, len(data)))
        )
