"""Proofreading: the words of a text that its two sides make least likely, and what they would rather have there.

For each word w of k tokens with the rest of the text r on both sides, the network is asked for

    ln p(w | r) = Σ_j ln p(w_j | w_1 … w_{j−1}, r),

the whole word hidden first and its tokens read off from left to right: the chain rule along one order, one row of the
network per token. For a word of one token, which is most of them, this is the conditional p(token | all other tokens).
Masked noise hides tokens behind the mask, as `fill` does. Uniform noise has nothing to hide them behind, but its
leave-one-out distribution p(x_i | z without z_i) may be read from the text as it stands, every position from one pass;
there a word of several tokens gets the product of these. A network that reads the noise level is told the one at which
as many tokens are noise, on average, as are hidden (uniform noise: one of the context).

A surprising word need not be wrong: a name has many equally good alternatives. What counts is the odds

    o = log2 (best proposal's probability / the word's own)    (bits),

and words are ranked by it. For one token proposals are the other tokens of the same distribution. A hole for a word of
k > 1 tokens may also be filled by fewer, or by one more: n = k + 1, k, … (`LENGTHS` of them) tokens are filled in by
confidence, as `fill` does, and p(n | r) · p(filling | n, r) is compared with p(k | r) · p(w | k, r), with p(n | r) as
`decode/length.py` has it among these n. That takes tens of evaluations a word, so it is done for the words that rank
highest while the best token at each place of the chain stands for the best filling, and a threshold holds for both
odds. Without a mask one token of the word is exchanged.

Every token is read with as much text on both sides as the trained context has room for.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ..decode.canvas import Canvas
from ..decode.length import length_score
from ..decode.loop import walk
from ..errors import UserError
from ..process.needs import Need, moves_tokens, require
from ..randomness import Draws
from ..text.form import SPACE, Blank, Fixed, Form
from ..text.words import words
from .alternatives import alternatives
from .arguments import real, whole
from .many import each
from .placement import Placement, constraint
from .reading import Reading, Words, read
from .results import Alternative
from .settings import Settings
from .trained import Trained

NEEDS = (
    Need(
        moves_tokens,
        "this model's noise is added to vectors, and findings come from noise between tokens: check with a model of "
        "another recipe: undiffuse train FILE --recipe default",
    ),
)
LENGTHS = 8
"""How many lengths are tried for a word of several tokens."""
SPARE = 8
"""How many of the best tokens are read besides those shown: the word's own, and parts of characters."""


@dataclass(frozen=True)
class Finding:
    """A word that others would replace. Put `proposals[i].text` in place of text[start:end] to follow one.

    `start` and `end` count characters, `byte_start` and `byte_end` bytes of UTF-8; `line` and `column` (characters)
    count from 1. `text` has the space before a word, if its token has. `surprise` is −log2 of `probability`, `odds` the
    bits by which the first proposal is more probable.
    """

    start: int
    end: int
    byte_start: int
    byte_end: int
    line: int
    column: int
    text: str
    tokens: int
    probability: float
    surprise: float
    odds: float
    proposals: tuple[Alternative, ...]


@dataclass(frozen=True)
class Check:
    """The findings of a text, the clearest first, and what was looked at. `surprise` is the mean of all words, bits."""

    findings: tuple[Finding, ...]
    words: int
    tokens: int
    surprise: float
    threshold: float
    model: str

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "findings": [asdict(finding) for finding in self.findings]}


@torch.no_grad()
def check(model: Trained, texts: Sequence[str], top: int | None, proposals: int, threshold: float) -> list[Check]:
    """See `LanguageModel.check`."""
    _refuse_one_sided(model)
    top = None if top is None else whole("top", top)
    proposals, threshold = whole("proposals", proposals), real("threshold", threshold)
    if not threshold >= 0:
        raise UserError(f"threshold must be 0 bits or more, not {threshold}")
    ready = each(texts, lambda text: _tokens(model, text))
    found = [words(pieces, longest=max(1, model.context // 4)) for _, pieces in ready]
    readings = read(model, [(ids, spans) for (ids, _), spans in zip(ready, found, strict=True)], proposals + SPARE)
    return [
        _check(model, ids, spans, reading, _Places(text, pieces), top, proposals, threshold)
        for text, (ids, pieces), spans, reading in zip(texts, ready, found, readings, strict=True)
    ]


def _tokens(model: Trained, text: str) -> tuple[list[int], list[bytes]]:
    """The tokens of a text and their bytes; UserError where places in it cannot be named."""
    ids = model.tokenizer.encode(text)
    if not ids:
        raise UserError("there is nothing to check: the text is empty")
    pieces = [model.tokenizer.token_bytes(token) for token in ids]
    if b"".join(pieces) != text.encode():
        raise UserError("this model's tokenizer changes the text, so places in it cannot be named; use another model")
    return ids, pieces


def _check(
    model: Trained,
    ids: Sequence[int],
    found: Words,
    reading: Reading,
    place: "_Places",
    top: int | None,
    proposals: int,
    threshold: float,
) -> Check:
    """What was read of one text as findings."""
    own = torch.stack([reading.own[a:b].sum() for a, b in found])
    odds = torch.stack([(reading.best[a:b, 0] - reading.own[a:b]).sum() for a, b in found])
    ranked = [n for n in odds.argsort(descending=True, stable=True).tolist() if odds[n] >= threshold * math.log(2)]
    findings = [_finding(model, ids, found[number], reading, place, proposals) for number in ranked[:top]]
    kept = [finding for finding in findings if finding.odds >= threshold and finding.proposals]
    return Check(
        findings=tuple(sorted(kept, key=lambda finding: (-finding.odds, finding.start))),
        words=len(found),
        tokens=len(ids),
        surprise=-own.mean().item() / math.log(2),
        threshold=threshold,
        model=model.name,
    )


def _refuse_one_sided(model: Trained) -> None:
    require(NEEDS, model.predictor.process)
    if not model.predictor.traits.both_sides:
        raise UserError(
            "this model does not see the text after a word (it was trained by block diffusion, or is causal), so it "
            "cannot judge from both sides; check with a model of another recipe: undiffuse train FILE --recipe default"
        )


class _Places:
    """Where each token begins: byte, character, line and column."""

    def __init__(self, text: str, pieces: Sequence[bytes]) -> None:
        self.text = text
        self.bytes = [0]
        for piece in pieces:
            self.bytes.append(self.bytes[-1] + len(piece))
        self.data = text.encode()

    def character(self, token: int) -> int:
        return len(self.data[: self.bytes[token]].decode())

    def line(self, character: int) -> tuple[int, int]:
        return self.text.count("\n", 0, character) + 1, character - self.text.rfind("\n", 0, character)


def _finding(
    model: Trained,
    ids: Sequence[int],
    word: tuple[int, int],
    reading: Reading,
    place: _Places,
    count: int,
) -> Finding:
    begin, end = word
    start, stop = place.character(begin), place.character(end)
    text = place.text[start:stop]
    own = reading.own[begin:end].sum().item()
    if end - begin > 1 and model.predictor.process.mask is not None:
        length, answers = _fillings(model, ids, word, text, count)
        own += length
    else:
        answers = _exchanges(model, ids, word, reading)
    answers.pop(text, None)
    best = sorted(answers.items(), key=lambda answer: -answer[1])[:count]
    line, column = place.line(start + (len(text) > 1 and text.startswith(SPACE)))
    return Finding(
        start=start,
        end=stop,
        byte_start=place.bytes[begin],
        byte_end=place.bytes[end],
        line=line,
        column=column,
        text=text,
        tokens=end - begin,
        probability=math.exp(own),
        surprise=-own / math.log(2),
        odds=(best[0][1] - own) / math.log(2) if best else -math.inf,
        proposals=tuple(Alternative(other, math.exp(logp)) for other, logp in best),
    )


def _exchanges(model: Trained, ids: Sequence[int], word: tuple[int, int], reading: Reading) -> dict[str, float]:
    """ln p of the word with one token exchanged, where that leaves whole characters and not nothing."""
    begin, end = word
    tokenizer = model.tokenizer
    own = reading.own[begin:end].sum().item()
    answers: dict[str, float] = {}
    for place in range(begin, end):
        before, after = (tokenizer.decode_bytes(part) for part in (ids[begin:place], ids[place + 1 : end]))
        for log_p, token in zip(reading.best[place].tolist(), reading.best_ids[place].tolist(), strict=True):
            text = _text(before + tokenizer.token_bytes(token) + after)
            if text and log_p > -math.inf:
                answers[text] = max(own - reading.own[place].item() + log_p, answers.get(text, -math.inf))
    return answers


def _text(data: bytes) -> str:
    """The text of some bytes; none where they are not whole characters."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return ""


def _fillings(
    model: Trained, ids: Sequence[int], word: tuple[int, int], text: str, count: int
) -> tuple[float, dict[str, float]]:
    """ln p(k | r) of the word's own length, and ln p(n | r) p(filling | n, r) of fillings of several lengths."""
    begin, end = word
    size, reach = end - begin, model.context
    prefix = SPACE if len(text) > 1 and text.startswith(SPACE) else ""
    sizes = range(max(1, size + 2 - LENGTHS), size + 2)
    left, right = ids[max(0, begin - reach) : begin], ids[end : end + reach]
    parts = (Fixed(tuple(left)), Blank(sizes[0], sizes[-1], prefix.encode()), Fixed(tuple(right)))
    placements = [Placement(model, Form(parts), [n]) for n in sizes]
    settings = Settings.of("confidence", temperature=0.0)
    key = Draws.seeded(0)
    starts = [placement.canvas([key], settings).to(model.device) for placement in placements]
    first, last = torch.tensor([placement.holes[0] for placement in placements], device=model.device).T
    lengths = length_score(model.predictor, Canvas.concatenate(starts), first, last).log_softmax(-1).tolist()
    answers: dict[str, float] = {}
    for placement, start, length in zip(placements, starts, lengths, strict=True):
        trail = [after for after, _ in walk(model.predictor, start, settings.decoder(constraint([placement])))]
        others = alternatives(model, [placement], settings, trail, count).get((0, 0), ())
        for filling, p in (placement.answer(trail[-1], 0, 0), *((other.text, other.probability) for other in others)):
            if p > 0:
                answers[prefix + filling] = max(length + math.log(p), answers.get(prefix + filling, -math.inf))
    return lengths[sizes.index(size)], answers
