"""Neighboring holes of a causal model, filled together, and each of them given all the rest.

The joint ranking (`ranked.py`) chooses. Its beam may lose what only a later text would favor, so the most probable
filling is then settled: each hole in turn takes its best text given the others, until none changes; every change makes
all of them together more probable. A hole's probability is then p(text | all the rest of the finished text), by
the same ranking of this hole alone with the others as they are: among its candidates, spelled in any way that was
considered. So are its alternatives.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import torch

from ..decode.evaluation import Evaluate, Evaluated
from ..likelihood.continuations import Continuations, Stem
from ..randomness import Draws, draw_categorical
from ..text.form import Blank
from .ranked import Ranking, Slot, Tokens, rank
from .ranking import Bounds
from .results import Alternative, HoleFill, Length
from .trained import Trained

Key = TypeVar("Key")
SWEEPS = 4
"""How often the holes are gone through, at most, until none changes."""


@dataclass(frozen=True, eq=False)
class Place:
    """A hole of a text: its number, what may stand there, and the fixed tokens after it, up to the next hole."""

    number: int
    blank: Blank
    slot: Slot
    after: Tokens


@dataclass(eq=False)
class Group:
    """Some neighboring holes given the text before them. `runs` counts the rows that went through the network."""

    model: Trained
    places: list[Place]
    stem: Stem
    joint: Ranking
    runs: int
    alone: dict[tuple[int, tuple[Tokens, ...]], Ranking] = field(default_factory=dict)

    @classmethod
    def of(cls, model: Trained, places: list[Place], before: Sequence[int], bounds: Bounds) -> "Evaluated[Group]":
        """A row of the network holds at most a context: what the holes leave of it both sides share."""
        *inner, last = places
        free = model.context - sum(len(place.after) for place in inner)
        free -= sum(place.slot.lengths[-1] for place in places)
        right = max(min(bounds.right, max(free // 2, free - len(before)), len(last.after)), 0)
        left = max(free - right, 1)
        places = [*inner, replace(last, after=last.after[:right])]
        yield Evaluate(left)
        stem = Stem.of(model.predictor, before[-left:], bounds.keep)
        joint = yield from rank(_end(stem), [place.slot for place in places], [place.after for place in places])
        return cls(model, places, stem, joint, joint.runs + 1)

    @cached_property
    def _texts(self) -> list[tuple[str, ...]]:
        """What every filling of all holes says."""
        return [tuple(self._shown(*each) for each in enumerate(fills)) for fills in self.joint.fills]

    @cached_property
    def _log_p(self) -> dict[tuple[str, ...], float]:
        """ln p of every text of all holes, but for a constant."""
        return _summed(self._texts, self.joint.weight.tolist())

    def _shown(self, at: int, tokens: Tokens) -> str:
        return self.places[at].blank.shown(self.model.tokenizer.decode_bytes(tokens))

    def choice(self, temperature: float, draws: Draws) -> Evaluated[tuple[Tokens, ...]]:
        """The most probable texts of all holes, settled, or a draw from p^(1/temperature), in their best spelling."""
        each = torch.tensor(list(self._log_p.values()), dtype=torch.float64)
        number = draw_categorical((each / temperature).softmax(0), draws) if temperature else each.argmax()
        chosen = list(self._log_p)[int(number)]
        same = [number for number, texts in enumerate(self._texts) if texts == chosen]
        fills = self.joint.fills[max(same, key=lambda number: float(self.joint.weight[number]))]
        return fills if temperature or len(fills) == 1 else (yield from self._settled(fills))

    def _settled(self, fills: tuple[Tokens, ...]) -> Evaluated[tuple[Tokens, ...]]:
        """With the best text in each hole, given the others."""
        for _ in range(SWEEPS):
            before = fills
            for at in range(len(fills)):
                ranking = yield from self._conditional(at, fills)
                shown = [self._shown(at, tokens) for (tokens,) in ranking.fills]
                log_p = _summed(shown, ranking.weight.tolist())
                best = max(log_p, key=lambda text: log_p[text])
                if best != self._shown(at, fills[at]):
                    same = [number for number, text in enumerate(shown) if text == best]
                    number = max(same, key=lambda number: float(ranking.weight[number]))
                    fills = (*fills[:at], *ranking.fills[number], *fills[at + 1 :])
            if fills == before:
                break
        return fills

    def holes(self, fills: tuple[Tokens, ...], top: int) -> Evaluated[list[HoleFill]]:
        """Every hole given all the rest."""
        found = []
        for at, own in enumerate(fills):
            ranking = yield from self._conditional(at, fills)
            found.append(self._hole(at, own, ranking, top))
        return found

    def _conditional(self, at: int, fills: tuple[Tokens, ...]) -> Evaluated[Ranking]:
        """Fillings of one hole with the others as they are, its own among them."""
        if len(fills) == 1:
            return self.joint
        if (at, fills) not in self.alone:
            self.alone[at, fills] = yield from self._alone(at, fills)
        return self.alone[at, fills]

    def _alone(self, at: int, fills: tuple[Tokens, ...]) -> Evaluated[Ranking]:
        before: list[int] = []
        after = list(self.places[at].after)
        for place, fill in zip(self.places[:at], fills, strict=False):
            before += [*fill, *place.after]
        for place, fill in zip(self.places[at + 1 :], fills[at + 1 :], strict=True):
            after += [*fill, *place.after]
        row = _end(self.stem)
        if before:
            yield Evaluate(len(before))
            row, self.runs = row.along([before])[0], self.runs + 1
        found = yield from rank(row, [self.places[at].slot], [after])
        self.runs += found.runs
        own = fills[at]
        if (own,) in found.fills:
            return found
        self.runs += 1
        yield Evaluate(len(own) + len(after))
        weight = torch.cat((found.weight, row.scores([[*own, *after]])))
        return replace(found, fills=[*found.fills, (own,)], weight=weight)

    def _hole(self, at: int, own: Tokens, ranking: Ranking, top: int) -> HoleFill:
        each = ranking.weight.log_softmax(0).tolist()
        texts = _summed([self._shown(at, tokens) for (tokens,) in ranking.fills], each)
        sizes = _summed([len(tokens) for (tokens,) in ranking.fills], each)
        mine, written = self._shown(at, own), self.places[at].blank.hole
        others = sorted((text for text in texts if text != mine), key=lambda text: -texts[text])
        return HoleFill(
            self.places[at].number,
            mine,
            math.exp(texts[mine]),
            tuple(Alternative(text, math.exp(texts[text])) for text in others[: top - 1]),
            written.name if written else "",
            tuple(Length(n, math.exp(p)) for n, p in sorted(sizes.items())) if len(sizes) > 1 else (),
            "ranked",
            ranking.covered.get(len(own), 0.0),
        )


def _end(stem: Stem) -> Continuations:
    """The row that has the stem alone."""
    return stem.leave(torch.tensor([len(stem.ids)], device=stem.ids.device))


def _summed(keys: Sequence[Key], log_p: Sequence[float]) -> dict[Key, float]:
    """ln of the sums of what has one key."""
    found: dict[Key, list[float]] = {}
    for key, each in zip(keys, log_p, strict=True):
        found.setdefault(key, []).append(each)
    return {key: torch.tensor(each, dtype=torch.float64).logsumexp(0).item() for key, each in found.items()}
