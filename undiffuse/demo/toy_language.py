"""A language of thirteen words and 252 sentences of six, small enough to write down and to know everything about.

Nouns are dog, cat and friend; `s` makes the plural of a noun, and of a possessive the one that stands alone ("our s" is
ours). Subject, verb and complement agree in number. Sentences shorter than six words end in [PAD]. All are as likely.
"""

import math
import random
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product

PAD = "[PAD]"
LETTERS = {
    "we": "W",
    "you": "Y",
    "they": "T",
    "our": "w",
    "your": "y",
    "their": "t",
    "cat": "c",
    "dog": "d",
    "friend": "f",
    "is": "i",
    "are": "a",
    "s": "s",
    PAD: "-",
}
"""A letter for each word: a network of bytes then has a token for each."""
WORDS = {letter: word for word, letter in LETTERS.items()}
OWN, NOUNS, PRONOUNS = ("our", "your", "their"), ("cat", "dog", "friend"), ("we", "you", "they")
LENGTH = 6
NUMBER = (LETTERS["is"], LETTERS["are"], LETTERS["s"], LETTERS[PAD])
"""The words that carry number."""


@cache
def language() -> tuple[str, ...]:
    """All sentences, in letters, sorted."""
    return tuple(sorted({spelled(words) for words in _sentences() if len(words) <= LENGTH}))


def _sentences() -> Iterator[tuple[str, ...]]:
    whose = [(own, "s") for own in OWN]
    one = [*product(OWN, NOUNS)]
    several = [(*which, "s") for which in one]
    bare = [(noun, "s") for noun in NOUNS]
    for which, what in product(one, [*one, *whose]):
        yield (*which, "is", *what)
    subjects = [*((word,) for word in PRONOUNS), *several, *bare]
    for subject, complement in product(subjects, [*several, *whose, *bare]):
        yield (*subject, "are", *complement)


def spelled(words: Sequence[str]) -> str:
    """Letters of some words, filled up."""
    return "".join(LETTERS[word] for word in words).ljust(LENGTH, LETTERS[PAD])


def read(text: str) -> str:
    """The words, without the padding at the end."""
    return " ".join(WORDS.get(letter, "?") for letter in text.rstrip(LETTERS[PAD]))


def letters(text: str) -> str:
    """Six letters of words: what is none, as an untrained network writes, is [PAD]."""
    return "".join(letter if letter in WORDS else LETTERS[PAD] for letter in text[:LENGTH]).ljust(LENGTH, LETTERS[PAD])


def disagrees(text: str) -> bool:
    """Whether another choice of one word that carries number would make it a sentence."""
    if text in known():
        return False
    return any(
        text[:place] + other + text[place + 1 :] in known()
        for place, letter in enumerate(text)
        if letter in NUMBER
        for other in NUMBER
    )


@cache
def known() -> frozenset[str]:
    return frozenset(language())


def entropy() -> float:
    """Bits of a sentence."""
    return math.log2(len(language()))


def perfect(steps: int, samples: int, seed: int = 0) -> list[str]:
    """What a network that knows the language exactly writes in so many steps, for six words and the end of the text.

    In every step as many are shown, the remainder in the earliest, at places drawn at random; what is shown in one step
    is drawn apart from each other, by exact counting of the sentences that agree with what was shown before.
    """
    chance = random.Random(seed)
    return [_perfect(steps, chance) for _ in range(samples)]


def _perfect(steps: int, chance: random.Random) -> str:
    shown: dict[int, str] = {}
    order = chance.sample(range(LENGTH + 1), LENGTH + 1)
    for left in range(steps, 0, -1):
        agreeing = _agreeing(tuple(sorted(shown.items())))
        together = -(-len(order) // left)
        for place in order[:together]:
            if place < LENGTH:
                shown[place] = chance.choice(agreeing)[place]
        order = order[together:]
    return "".join(shown[place] for place in range(LENGTH))


@cache
def _agreeing(shown: tuple[tuple[int, str], ...]) -> tuple[str, ...]:
    """Sentences that have these words; all of them where none has, as a network would not know either."""
    found = tuple(s for s in language() if all(s[place] == letter for place, letter in shown))
    return found or language()
