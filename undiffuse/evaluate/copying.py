"""How much of a generated text is copied from the training text."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

RUN = 32  # characters: six words or so, beyond what a language repeats by itself


@dataclass(frozen=True)
class Copying:
    """`longest` is the longest common substring; `share` the part of the generated characters inside copied runs of at
    least `run` characters."""

    longest: str
    share: float
    run: int


def copying(generated: str, training: Sequence[str], run: int = RUN) -> Copying:
    """Exact. Takes a few passes over the training texts, and memory in proportion to the generated text."""
    copied = _shared(generated, training, run)
    windows = {window for part in copied for window in _windows(part, run)}
    covered = end = 0
    for start, window in enumerate(_windows(generated, run)):
        if window in windows:
            covered += start + run - max(start, end)
            end = start + run
    return Copying(_longest(generated, copied or training, run), covered / max(len(generated), 1), run)


def _windows(text: str, length: int) -> Iterator[str]:
    return (text[i : i + length] for i in range(len(text) - length + 1))


def _shared(generated: str, training: Iterable[str], length: int) -> list[str]:
    """The parts of the training texts that substrings of one length shared with the generated text cover."""
    windows = set(_windows(generated, length))
    parts = []
    for text in training:
        start = end = 0
        for i in (i for i, window in enumerate(_windows(text, length)) if window in windows):
            if i > end:
                parts.append(text[start:end])
                start = i
            end = i + length
        parts.append(text[start:end])
    return [part for part in parts if len(part) >= length]


def _longest(generated: str, training: Sequence[str], run: int) -> str:
    """By bisection: where a length is shared every shorter one is, and only the parts that share it can share more."""
    low, high, probe = 0, len(generated) + 1, min(run, len(generated))
    while high - low > 1:
        shared = _shared(generated, training, probe)
        if shared:
            low, training = probe, shared
        else:
            high = probe
        probe = (low + high) // 2
    held = {window for part in training for window in _windows(part, low)} if low else {""}
    return next(window for window in _windows(generated, low) if window in held)
