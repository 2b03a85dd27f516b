"""Text of a model on a terminal: nothing that could steer the terminal gets through raw."""

import unicodedata

_JOINERS = "\u200c\u200d"  # part of emoji and of several scripts


def safe(text: str) -> str:
    """The text with every control character made visible, except line breaks and tabs.

    C0 controls become their pictures (escape: ␛), other controls and invisible format characters, among them those
    that turn the direction of writing, become `\\u202e`. Everything else is unchanged.
    """
    return "".join(map(_safe_character, text))


def one_line(text: str) -> str:
    """The text as a cell of a table shows it: safe, on one line, blanks at its ends visible."""
    core = safe(text).replace("\n", "↵").replace("\t", "⇥")
    inner = core.strip(" ")
    left = len(core) - len(core.lstrip(" ")) if inner else 0
    right = len(core) - left - len(inner)
    return "␣" * left + inner + "␣" * right


def _safe_character(character: str) -> str:
    code = ord(character)
    if character in "\n\t" or character in _JOINERS:
        return character
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character
