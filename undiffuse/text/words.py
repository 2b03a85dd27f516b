"""Tokens grouped to words: what a reader would call one mistake, and the smallest part that can be exchanged alone.

A word is a run of tokens whose joints lie inside a run of letters and digits, or inside one character of UTF-8. Every
other token stands alone, with the space before it where the tokenizer keeps it there. So do the tokens of a run that is
too long for a word.
"""

from collections.abc import Sequence

JOINS = "_'’"  # beside letters and digits: what does not end a word


def words(tokens: Sequence[bytes], longest: int) -> list[tuple[int, int]]:
    """First and last (exclusive) token of every word, in order; together they are all tokens.

    `tokens` are the bytes of the tokens of a text. A run of more than `longest` of them is no word: it is cut at every
    joint between characters. ValueError for bytes that are not UTF-8.
    """
    around = _around_joints(tokens)
    begins = [place for place, sides in enumerate(around) if sides is not None and (place == 0 or not _inside(sides))]
    starts: list[int] = []
    for begin, end in zip(begins, [*begins[1:], len(tokens)], strict=True):
        starts.append(begin)
        if end - begin > longest:
            starts += [place for place in range(begin + 1, end) if around[place] is not None]
    return list(zip(starts, [*starts[1:], len(tokens)], strict=True))


def _inside(sides: str) -> bool:
    """Whether a joint between two characters is inside a word."""
    return all(character.isalnum() or character in JOINS for character in sides)


def _around_joints(tokens: Sequence[bytes]) -> list[str | None]:
    """The two characters at the joint before each token; None inside a character, one at the start of the text."""
    text = b"".join(tokens).decode()
    character_at: dict[int, int] = {}
    offset = 0
    for number, character in enumerate(text):
        character_at[offset] = number
        offset += len(character.encode())
    joints: list[str | None] = []
    offset = 0
    for data in tokens:
        at = character_at.get(offset)
        joints.append(None if at is None else text[max(at - 1, 0) : at + 1])
        offset += len(data)
    return joints
