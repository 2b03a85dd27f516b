"""Planted errors among the words that `check` ranks first.

python -m benchmarks.proofreading RUN [excerpts]

RUN is a finished run; excerpts are drawn from its held-out text, and one error is planted into each.
"""

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import undiffuse as ud
from undiffuse.decode.evaluation import at_once
from undiffuse.evaluate.infill import WORD, Accuracy
from undiffuse.language_model import LanguageModel
from undiffuse.language_model.reading import read
from undiffuse.randomness import Draws
from undiffuse.text.words import words

from .report import write
from .shakespeare import describe

SIZE = 60  # words
DEFINITION = (
    f"Excerpts of {SIZE} words from the held-out tenth of tinyshakespeare, one error planted into each: a word "
    "replaced by one drawn from the held-out text, two neighboring words exchanged, or, for a misspelling, two "
    "neighboring letters of a word of at least four exchanged, or one left out. Found: `check` (threshold 0) has a "
    "word that overlaps with the error among its first N. Beside it the same words ranked by surprise alone (before "
    "fillings of several tokens are compared), and chance, N of all words. Flags: how many of the first five are at "
    "least 8 bits above, per excerpt, which with one error is nearly all false alarms. Intervals are 95 % (Wilson)."
)
KINDS = ("wrong word", "exchanged words", "misspelling")
FIRST = (1, 3, 5)


@dataclass(frozen=True)
class Planted:
    """An excerpt with an error at text[start:end]."""

    kind: str
    text: str
    start: int
    end: int


def plant(text: str, number: int) -> list[Planted]:
    """One error into each of so many excerpts, kinds in turn."""
    places = list(WORD.finditer(text))
    draws = Draws.seeded(0).stream("errors")
    planted = []
    for n in range(number):
        kind = KINDS[n % len(KINDS)]
        u = iter(draws.at(n).along(64).uniform().tolist())
        first = int(next(u) * (len(places) - SIZE))
        excerpt = text[places[first].start() : places[first + SIZE - 1].end()]
        inside = list(WORD.finditer(excerpt))
        while True:
            at = int(next(u) * (len(inside) - 1))
            word, following = inside[at], inside[at + 1]
            other = places[int(next(u) * len(places))][0]
            new, end = _error(kind, word[0], following[0], excerpt[word.end() : following.start()], other, next(u))
            end = following.end() if end else word.end()
            if new and new != excerpt[word.start() : end]:
                break
        planted.append(
            Planted(kind, excerpt[: word.start()] + new + excerpt[end:], word.start(), word.start() + len(new))
        )
    return planted


def _error(kind: str, word: str, following: str, between: str, other: str, u: float) -> tuple[str, bool]:
    """What replaces the word, or the word and the next one; nothing where this kind cannot be planted."""
    if kind == "wrong word":
        return (other if other.lower() != word.lower() else ""), False
    if kind == "exchanged words":
        return (following + between + word if between == " " else ""), True
    if len(word) < 4:
        return "", False
    at = 1 + int(u * (len(word) - 2))
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :] if at + 1 < len(word) else word
    return (swapped if int(u * 1000) % 2 else word[:at] + word[at + 1 :]), False


def ranks(model: LanguageModel, planted: Planted) -> dict[str, float]:
    """The place of the error in each order, from 0; infinite where it is not among the first five."""
    found = model.check(planted.text, top=max(FIRST), threshold=0.0).findings
    hits = [f.start < planted.end and planted.start < f.end for f in found]
    ids = model.tokenizer.encode(planted.text)
    pieces = [model.tokenizer.token_bytes(token) for token in ids]
    spans = words(pieces, model.context // 4)
    own = at_once(read(model.trained, [(ids, spans)], 1))[0].own
    nats = torch.stack([own[a:b].sum() for a, b in spans])
    size = [len(piece) for piece in pieces]
    begin, end = (len(planted.text[:place].encode()) for place in (planted.start, planted.end))
    order = nats.argsort(stable=True).tolist()
    over = [sum(size[: spans[n][0]]) < end and begin < sum(size[: spans[n][1]]) for n in order]
    return {
        "check": hits.index(True) if True in hits else math.inf,
        "surprise": over.index(True),
        "flags": sum(f.odds >= 8 for f in found),
        "flagged": any(hit and f.odds >= 8 for hit, f in zip(hits, found, strict=True)),
        "words": len(spans),
    }


def rows(cases: Sequence[Planted], found: Sequence[dict[str, float]]) -> list[dict[str, object]]:
    table: list[dict[str, object]] = []
    for kind in (*KINDS, "all"):
        mine = [record for case, record in zip(cases, found, strict=True) if kind in (case.kind, "all")]
        for first in FIRST:
            by = {name: Accuracy(sum(r[name] < first for r in mine), len(mine)) for name in ("check", "surprise")}
            low, high = by["check"].interval
            table.append(
                {
                    "error": kind,
                    "first": first,
                    "excerpts": len(mine),
                    "found": by["check"].share,
                    "low": low,
                    "high": high,
                    "by surprise": by["surprise"].share,
                    "chance": sum(first / r["words"] for r in mine) / len(mine),
                    "found at 8 bits": sum(r["flagged"] for r in mine) / len(mine),
                    "flags": sum(r["flags"] for r in mine) / len(mine),
                }
            )
    return table


def main(run: Path, number: int) -> None:
    torch.set_num_threads(1)
    model = ud.load(run)
    records = [json.loads(line) for line in (run / "text.jsonl").read_text().splitlines()]
    cases = plant("".join(record["text"] for record in records if record["part"] == "valid"), number)
    trained = f" The model: {describe(model)}, {model.manifest['training']['step']} steps."
    write("proofreading", DEFINITION + trained, 1, rows(cases, [ranks(model, case) for case in cases]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if sys.argv[2:] else 300)
