"""Types of holes: each is a set of strings, given as a list or as a regular expression.

    choice(formal|casual)   one of the listed texts; \\| \\) \\\\ stand for themselves
    yesno                   yes or no
    date                    an ISO date from 0001-01-01 to 9999-12-31, with the lengths of months and leap years
    int(-5-99)              an integer between two, both included, in its usual spelling
    /[A-Z]{2}/              a match of a regular expression (Rust's dialect, whole match); \\/ is a slash

Gregorian leap years are a regular language, since four and four hundred divide powers of ten: so are valid dates.
"""

import re
from dataclasses import dataclass

from .automaton import Automaton, of_regex, of_sequences
from .codec import Codec

DIGITS = 18
INTERVAL = re.compile(r"\s*(-?[0-9]{1,18})\s*-\s*(-?[0-9]{1,18})\s*")


@dataclass(frozen=True)
class Type:
    """A set of strings: the `choices`, where there are any, else the matches of `pattern`."""

    pattern: str = ""
    choices: tuple[str, ...] = ()

    def automaton(self, tokenizer: Codec, prefix: str = "") -> Automaton:
        """The token sequences whose text is `prefix` and then one of the strings.

        A choice has one spelling in tokens, the tokenizer's own; a match of a pattern has all that its bytes allow.
        ValueError for a pattern that cannot be read.
        """
        if self.choices:
            return of_sequences(self.spellings(tokenizer, prefix), tokenizer.vocabulary.rows)
        return of_regex(self.pattern, tokenizer.tokens, prefix.encode())

    def spellings(self, tokenizer: Codec, prefix: str = "") -> list[list[int]]:
        """The choices in tokens."""
        return [tokenizer.continuing.encode(prefix + choice) for choice in self.choices]


def between(low: int, high: int) -> str:
    """The integers from `low` to `high`, both included; no leading zeros, no minus before a zero."""
    if low < 0:
        negative = f"-(?:{between(max(1, -high), -low)})"
        return f"{negative}|{between(0, high)}" if high >= 0 else negative
    parts = []
    for size in range(len(str(low)), len(str(high)) + 1):
        first = max(low, 10 ** (size - 1) if size > 1 else 0)
        parts.append(_digits(str(first), str(min(high, 10**size - 1))))
    return "|".join(parts)


def _digits(low: str, high: str) -> str:
    """Numbers of one length."""
    if low == high:
        return low
    first, last, rest = low[0], high[0], len(low) - 1
    nines, zeros = "9" * rest, "0" * rest
    if low[1:] == zeros and high[1:] == nines:
        return f"[{first}-{last}]" + (f"[0-9]{{{rest}}}" if rest else "")
    if first == last:
        return f"{first}(?:{_digits(low[1:], high[1:])})"
    parts = []
    if low[1:] != zeros:
        parts.append(f"{first}(?:{_digits(low[1:], nines)})")
        first = chr(ord(first) + 1)
    if high[1:] != nines:
        parts.append(f"{last}(?:{_digits(zeros, high[1:])})")
        last = chr(ord(last) - 1)
    if first <= last:
        parts.append(f"[{first}-{last}]" + f"[0-9]{{{rest}}}")
    return "|".join(parts)


def _date() -> str:
    months = (
        "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])",
        "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)",
        "02-(?:0[1-9]|1[0-9]|2[0-8])",
    )
    years = "[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9]"
    fours = "0[48]|[2468][048]|[13579][26]"  # 04, 08, …, 96
    return f"(?:{years})-(?:{'|'.join(months)})|(?:[0-9]{{2}}(?:{fours})|(?:{fours})00)-02-29"


DATE = Type(_date())
YESNO = Type(choices=("yes", "no"))


def parse_type(written: str) -> Type:
    """The type of a hole as it is written; ValueError with the reason when it means nothing."""
    if written in ("yesno", "date"):
        return YESNO if written == "yesno" else DATE
    if written.startswith("/"):
        return Type(written[1:-1].replace("\\/", "/"))
    kind, body = written[:-1].split("(", 1)
    return _choice(body) if kind == "choice" else _int(body)


def _choice(body: str) -> Type:
    choices = [""]
    for piece in re.findall(r"\\.|[^\\]", body):
        if piece == "|":
            choices.append("")
        else:
            choices[-1] += piece[-1]
    if "" in choices:
        raise ValueError("one of its choices is empty; write choice(formal|casual)")
    if len(set(choices)) < len(choices):
        double = next(choice for place, choice in enumerate(choices) if choice in choices[:place])
        raise ValueError(f"it lists {double!r} twice")
    return Type(choices=tuple(choices))


def _int(body: str) -> Type:
    bounds = INTERVAL.fullmatch(body)
    if not bounds:
        raise ValueError(f"{body!r} is no range of integers of up to {DIGITS} digits; write int(1-99) or int(-5-5)")
    low, high = int(bounds[1]), int(bounds[2])
    if high < low:
        raise ValueError(f"its range ends below its start; write int({high}-{low})")
    return Type(between(low, high))
