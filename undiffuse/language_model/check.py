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

A run of letters of more than `LONGEST` tokens is no word: there every token stands alone. So a token of the text costs
one row of the network, and one of a word that is shown at most `LENGTHS` · (1 + proposals) more.

Every token is read with as much text on both sides as the trained context has room for. Causal models rank candidates
by what follows (`ranked_check.py`), and give the same report.
"""

import math
from collections.abc import Sequence
from itertools import islice

import torch

from ..decode.canvas import Canvas
from ..decode.demand import walked
from ..decode.evaluation import Evaluated
from ..decode.length import length_score
from ..errors import UserError
from ..process.needs import Need, moves_tokens, require
from ..randomness import Draws
from ..text.form import Blank, Fixed, Form
from ..text.words import words
from .alternatives import alternatives
from .arguments import real, whole
from .findings import Check, Places, finding, others, prefix
from .many import batches, each
from .placement import Placement, constraint
from .ranked_check import CANDIDATES, RIGHT, ranked_check
from .reading import Reading, Words, read
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
LONGEST = 24
"""Tokens of a word at most: what is longer without a joint (a quarter of the context, if that is less) is no word."""
TOGETHER = 32
"""Words that are filled again together."""
PROPOSALS = 100
"""How many may be asked for at a word: each is read at every token, and completed at each length of a hole."""
SPARE = 8
"""How many of the best tokens are read besides those shown: the word's own, and parts of characters."""


@torch.no_grad()
def check(
    model: Trained,
    texts: Sequence[str],
    top: int | None,
    proposals: int,
    threshold: float,
    candidates: int | None = None,
    right: int | None = None,
) -> Evaluated[list[Check]]:
    """See `LanguageModel.check`."""
    refuse_what_cannot_judge(model)
    ranks = _bounds(model, candidates, right, proposals)
    top = None if top is None else whole("top", top)
    proposals, threshold = whole("proposals", proposals), real("threshold", threshold)
    if proposals > PROPOSALS:
        raise UserError(f"proposals must be at most {PROPOSALS}, not {proposals}: each takes evaluations of its own")
    if not threshold >= 0:
        raise UserError(f"threshold must be 0 bits or more, not {threshold}")
    ready = each(texts, lambda text: _tokens(model, text))
    found = [words(pieces, longest=min(LONGEST, max(1, model.context // 4))) for _, pieces in ready]
    if ranks is not None:
        checks = []
        for text, (ids, pieces), spans in zip(texts, ready, found, strict=True):
            place = Places(text, pieces)
            checks.append((yield from ranked_check(model, ids, spans, place, top, proposals, threshold, *ranks)))
        return checks
    readings = yield from read(
        model, [(ids, spans) for (ids, _), spans in zip(ready, found, strict=True)], proposals + SPARE
    )
    checks = []
    for text, (ids, pieces), spans, reading in zip(texts, ready, found, readings, strict=True):
        place = Places(text, pieces)
        checks.append((yield from _check(model, ids, spans, reading, place, top, proposals, threshold)))
    return checks


def _tokens(model: Trained, text: str) -> tuple[list[int], list[bytes]]:
    """The tokens of a text and their bytes; UserError where places in it cannot be named."""
    found = model.tokenizer.pieces(text)
    if not found:
        raise UserError("there is nothing to check: the text is empty")
    ids, pieces = [row for row, _ in found], [piece for _, piece in found]
    if b"".join(pieces) != text.encode():
        raise UserError("this model's tokenizer changes the text, so places in it cannot be named; use another model")
    return ids, pieces


def _check(
    model: Trained,
    ids: Sequence[int],
    found: Words,
    reading: Reading,
    place: Places,
    top: int | None,
    proposals: int,
    threshold: float,
) -> Evaluated[Check]:
    """What was read of one text as findings."""
    nats = torch.stack([reading.own[a:b].sum() for a, b in found])
    odds = torch.stack([(reading.best[a:b, 0] - reading.own[a:b]).sum() for a, b in found])
    ranked = [n for n in odds.argsort(descending=True, stable=True).tolist() if odds[n] >= threshold * math.log(2)]
    shown = [found[number] for number in ranked[:top]]
    several = [(a, b) for a, b in shown if b - a > 1 and model.predictor.process.mask is not None]
    refilled = yield from _fillings(model, ids, several, [place.cut(word) for word in several], proposals)
    findings = []
    for word in shown:
        length, answers = refilled.get(word) or _exchanges(model, ids, word, reading)
        answers = others(model, ids, word, place.cut(word), answers)
        own = reading.own[slice(*word)].sum().item() + length
        findings.append(finding(word, place, own, answers, proposals))
    kept = [each for each in findings if each.odds >= threshold and each.proposals]
    return Check(
        findings=tuple(sorted(kept, key=lambda each: (-each.odds, each.start))),
        words=len(found),
        tokens=len(ids),
        surprise=-nats.mean().item() / math.log(2),
        threshold=threshold,
        model=model.name,
    )


def _bounds(model: Trained, candidates: int | None, right: int | None, proposals: int) -> tuple[int, int] | None:
    """How many fillings of a word are ranked and by how many tokens; None where nothing is. UserError for misuse."""
    if not model.predictor.traits.one_sided:
        for name, value in (("candidates", candidates), ("right", right)):
            if value is not None:
                raise UserError(f"{name} is for causal models, and this one reads both sides as it is: leave it out")
        return None
    candidates = CANDIDATES if candidates is None else whole("candidates", candidates)
    right = RIGHT if right is None else whole("right", right, 0)
    return max(candidates, whole("proposals", proposals) + 1), min(right, max(model.context // 4, 1))


def refuse_what_cannot_judge(model: Trained) -> None:
    require(NEEDS, model.predictor.process)
    if model.predictor.traits.block_length is not None:
        raise UserError(
            "this model does not see the text after a word (it was trained by block diffusion), so it cannot judge "
            "from both sides; check with a model of another recipe: undiffuse train FILE --recipe default"
        )


def _exchanges(
    model: Trained, ids: Sequence[int], word: tuple[int, int], reading: Reading
) -> tuple[float, dict[str, float]]:
    """ln p of the word's length, which is not chosen, and of the word with one token exchanged.

    Where that leaves whole characters and not nothing.
    """
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
    return 0.0, answers


def _text(data: bytes) -> str:
    """The text of some bytes; none where they are not whole characters."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return ""


def _fillings(
    model: Trained, ids: Sequence[int], spots: Words, texts: Sequence[str], count: int
) -> Evaluated[dict[tuple[int, int], tuple[float, dict[str, float]]]]:
    """Per word ln p(k | r) of its own length, and ln p(n | r) p(filling | n, r) of fillings of several lengths."""
    found = {}
    for first in range(0, len(spots), TOGETHER):
        some = slice(first, first + TOGETHER)
        gaps = [_gaps(model, ids, word, text) for word, text in zip(spots[some], texts[some], strict=True)]
        filled = iter((yield from _filled(model, [gap for several in gaps for gap in several], count)))
        for (begin, end), text, mine in zip(spots[some], texts[some], gaps, strict=True):
            scores, fills = zip(*islice(filled, len(mine)), strict=True)
            lengths = torch.tensor(scores, dtype=torch.float64).log_softmax(0).tolist()
            answers: dict[str, float] = {}
            for length, (filling, p) in ((n, one) for n, fill in zip(lengths, fills, strict=True) for one in fill):
                other = prefix(text) + filling
                answers[other] = max(length + math.log(p), answers.get(other, -math.inf))
            found[begin, end] = lengths[[gap.lengths[0] for gap in mine].index(end - begin)], answers
    return found


def _gaps(model: Trained, ids: Sequence[int], word: tuple[int, int], text: str) -> list[Placement]:
    """The text around a word with a hole in its place, of each length that is tried."""
    begin, end = word
    size, reach = end - begin, model.context
    sizes = range(max(1, size + 2 - LENGTHS), size + 2)
    left, right = ids[max(0, begin - reach) : begin], ids[end : end + reach]
    parts = (Fixed(tuple(left)), Blank(sizes[0], sizes[-1], prefix(text).encode()), Fixed(tuple(right)))
    return [Placement(model, Form(parts), [n]) for n in sizes]


def _filled(
    model: Trained, gaps: Sequence[Placement], count: int
) -> Evaluated[list[tuple[float, list[tuple[str, float]]]]]:
    """ln p(n, r) of every gap up to what its word shares, and its answer and `count` others with p(filling | n, r)."""
    settings, key = Settings.of("confidence", temperature=0.0), Draws.seeded(0)
    found: dict[int, tuple[float, list[tuple[str, float]]]] = {}
    for together in batches([len(gap.ids) for gap in gaps], [1] * len(gaps)):
        some = [gaps[number] for number in together]
        canvas = Canvas.concatenate([gap.canvas([key], settings) for gap in some]).to(model.device)
        begin, end = torch.tensor([gap.holes[0] for gap in some], device=model.device).T
        scores = (yield from length_score(model.predictor, canvas, begin, end, reading=model.reading)).tolist()
        trail = yield from walked(model.predictor, canvas, settings.decoder(constraint(some)))
        others = yield from alternatives(model, some, settings, trail, count)
        for row, number in enumerate(together):
            alike = [(other.text, other.probability) for other in others.get((row, 0), ())]
            answers = [some[row].answer(trail[-1], row, 0), *alike]
            found[number] = scores[row], [(text, p) for text, p in answers if p > 0]
    return [found[number] for number in range(len(gaps))]
