"""Proofreading with a causal model: every word against candidates from its left, each with what follows it.

For a word w of a text with left and right side, and other texts c in its place,

    odds(c) = ln p(c, right | left) − ln p(w, right | left),        p(w | both sides) = p(w, right | left) / Σ,

where the sum is over w and the candidates (`ranked.py`), and the right side is cut. One pass over the text gives
ln p(w, right | left) of every word, as a sum of its tokens' terms, and the candidates of every place; the candidates
of all words are rows that leave that pass where their words begin. It is done twice:

    all words     the `FIRST` best single tokens, with `NEAR` tokens of the right side
    shown words   those that rank highest: `candidates` fillings, of a word of k > 1 tokens those of one to k + 1, with
                  `right` tokens of the right side; a threshold holds for both odds

A text longer than the context, or than `PAGE` tokens, is read in windows, in which every word has half a window on its
left.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..decode.evaluation import Evaluate, Evaluated
from ..errors import UserError
from ..likelihood.continuations import HEADS, Stem
from .findings import Check, Places, finding, others, prefix
from .placement import hole_text
from .ranked import Slot, Tokens, rank
from .trained import Trained

CANDIDATES, RIGHT = 32, 16
"""Fillings of a word that is shown, and tokens that are read after each, where nobody says."""
FIRST, NEAR = 8, 8
"""The same of every word, at most."""
TOGETHER = 32
"""Words whose candidates are rows together."""
PAGE = 1024
"""Tokens of a text that are run at once: a word has half of them on its left, or all there are."""
LENGTHS = 8
"""How many lengths are tried for a word of several tokens."""

Word = tuple[int, int]


@dataclass(frozen=True)
class Judged:
    """ln p of a word among its candidates, and of the texts of these (nats)."""

    own: float
    others: dict[str, float]

    @property
    def odds(self) -> float:
        """By how much the best candidate is more probable."""
        return max(self.others.values(), default=-torch.inf) - self.own


@dataclass(frozen=True, eq=False)
class Page:
    """A part of a text that was run once, and some of its words, by their places in it.

    `log_p` has ln p of each token given those before it. The part begins `offset` tokens into the text.
    """

    model: Trained
    ids: list[int]
    stem: Stem
    log_p: Float[Tensor, " n"]
    words: list[Word]
    offset: int

    @classmethod
    def of(cls, model: Trained, ids: list[int], words: list[Word], offset: int) -> "Evaluated[Page]":
        yield Evaluate(len(ids))
        stem = Stem.of(model.predictor, ids)
        places = torch.arange(len(ids), device=stem.ids.device)
        each = [stem.log_p(some).gather(-1, stem.ids[some, None])[:, 0].double() for some in places.split(HEADS)]
        return cls(model, ids, stem, torch.cat(each), words, offset)

    def glance(self, right: int) -> Evaluated[list[Judged]]:
        """All words against single tokens."""
        usable = whole_tokens(self.model.tokenizer.tokens).to(self.stem.ids.device)
        begins = torch.tensor([begin for begin, _ in self.words], device=self.stem.ids.device)
        best = [
            self.stem.log_p(some).masked_fill(~usable, -torch.inf).topk(min(FIRST, int(usable.sum())))
            for some in begins.split(HEADS)
        ]
        values, tokens = torch.cat([each.values for each in best]), torch.cat([each.indices for each in best])
        many = tokens.shape[1]
        after = [self.ids[end : end + right] for _, end in self.words]
        scores = []
        for first in range(0, len(after), TOGETHER):  # neighbors, which have about as much before them
            some = slice(first, first + TOGETHER)
            rows = self.stem.leave(begins[some].repeat_interleave(many), told=True).put(tokens[some].flatten())
            yield Evaluate(len(rows) * (1 + right))
            scores.append(rows.scores([each for each in after[some] for _ in range(many)]))
        weights = values.double() + torch.cat(scores).view(-1, many)
        return [
            self._judged(word, [(token,) for token in some], weight, right)
            for word, some, weight in zip(self.words, tokens.tolist(), weights, strict=True)
        ]

    def look(self, word: Word, candidates: int, right: int, spaced: bool) -> Evaluated[Judged]:
        """A word against fillings of several lengths; `spaced`: with a space before them, as the word has."""
        begin, end = word
        size = end - begin
        prefix = b" " if spaced and size > 1 else b""
        language = hole_text(self.model.tokenizer.tokens, prefix).automaton
        lengths = (1,) if size == 1 else range(max(1, size + 2 - LENGTHS), size + 2)
        can = language.ahead(size + 1)[:, 0]
        slot = Slot(language, tuple(length for length in lengths if can[length]), candidates)
        row = self.stem.leave(torch.tensor([begin], device=self.stem.ids.device))
        found = yield from rank(row, [slot], [self.ids[end : end + right]])
        return self._judged(word, [fills[0] for fills in found.fills], found.weight, right)

    def _judged(self, word: Word, fills: Sequence[Tokens], weight: Float[Tensor, " K"], right: int) -> Judged:
        begin, end = word
        own, decode = tuple(self.ids[begin:end]), self.model.tokenizer.decode_bytes
        mine = self.log_p[begin : end + right].sum()
        others = [number for number, tokens in enumerate(fills) if tokens != own]
        each = torch.cat((mine[None], weight[others])).log_softmax(0)
        texts: dict[str, float] = {}
        for number, log_p in zip(others, each[1:], strict=True):
            text = decode(fills[number]).decode()
            before = torch.tensor(texts.get(text, -torch.inf)).to(log_p)
            texts[text] = torch.logaddexp(before, log_p).item()
        return Judged(each[0].item(), texts)


@lru_cache(maxsize=8)
def whole_tokens(tokens: tuple[bytes, ...]) -> Bool[Tensor, " V"]:
    """The rows that are characters, none of them cut."""

    def whole(data: bytes) -> bool:
        try:
            return bool(data.decode())
        except UnicodeDecodeError:
            return False

    return torch.tensor([whole(data) for data in tokens])


def pages(model: Trained, ids: Sequence[int], words: Sequence[Word], right: int) -> Evaluated[list[Page]]:
    """A text in parts that fit the context, with the words that are judged in each, all in order.

    UserError where no word has anything before it.
    """
    begins, context = len(model.begins), min(model.context, PAGE)
    every = [*model.begins, *ids]
    least = 1 if model.predictor.traits.first_given else 0
    waiting = [(a + begins, b + begins) for a, b in words if a + begins >= least]
    if not waiting:
        raise UserError("there is nothing to check: this model judges a word by what stands before it; give more text")
    found = []
    while waiting:
        first = 0 if waiting[0][0] <= context // 2 else waiting[0][0] - context // 2
        fits = [word for word in waiting if word[1] + 1 + min(right, len(every) - word[1]) <= first + context]
        fits = fits or waiting[:1]
        local = [(a - first, b - first) for a, b in fits]
        found.append((yield from Page.of(model, every[first : first + context], local, first - begins)))
        waiting = waiting[len(fits) :]
    return found


def ranked_check(
    model: Trained,
    ids: Sequence[int],
    found: Sequence[Word],
    place: Places,
    top: int | None,
    proposals: int,
    threshold: float,
    candidates: int,
    right: int,
) -> Evaluated[Check]:
    """What is found in one text: all its words at a glance, and a longer look at those that rank highest."""
    judged: list[tuple[Page, Word, Judged]] = []
    for page in (yield from pages(model, ids, found, right)):
        glances = yield from page.glance(min(NEAR, right))
        judged += [(page, word, first) for word, first in zip(page.words, glances, strict=True)]
    clear = sorted((each for each in judged if each[2].odds >= threshold * math.log(2)), key=lambda each: -each[2].odds)
    findings = []
    for page, (begin, end), _ in clear[:top]:
        word = begin + page.offset, end + page.offset
        text = place.cut(word)
        look = yield from page.look((begin, end), candidates, right, bool(prefix(text)))
        findings.append(finding(word, place, look.own, others(model, ids, word, text, look.others), proposals))
    kept = [each for each in findings if each.odds >= threshold and each.proposals]
    return Check(
        findings=tuple(sorted(kept, key=lambda each: (-each.odds, each.start))),
        words=len(judged),
        tokens=len(ids),
        surprise=-sum(first.own for _, _, first in judged) / len(judged) / math.log(2),
        threshold=threshold,
        model=model.name,
    )
