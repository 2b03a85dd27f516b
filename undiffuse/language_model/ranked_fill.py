"""`fill` with a causal model, where text follows a blank: holes in groups, from left to right.

Holes that at most `right` tokens part are filled together, given all that stands before the first of them and `right`
tokens after the last; what is farther apart is filled one after the other, since no hole sees farther. At temperature 0
the most probable filling of a group is taken, else one is drawn in proportion to p^(1/T).

How text becomes tokens is the rule of every hole (`text/form.py`): fixed text is tokenized alone, so nothing merges
across the edge of a hole, and one space before a hole belongs to what fills it. So ln p of what follows is that of the
tokens which the fixed text has by itself: those of running text wherever it begins with a space, or with a mark that
the tokenizer cuts from a word.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from ..decode.canvas import Canvas
from ..decode.demand import Verb, denoised, requests_of
from ..likelihood.candidates import refuse_nothing_before
from ..randomness import Draws
from ..text.form import Blank, Fixed, Form, advice
from .choices import members
from .lengths import refuse_too_long
from .placement import Placement, hole_text
from .ranked import Slot, Tokens
from .ranked_group import Group, Place
from .ranking import Bounds
from .results import Filled, HoleFill
from .settings import Settings
from .trained import Trained


@dataclass(frozen=True, eq=False)
class Ranked:
    """A text before its first evaluation: what stands before its first hole, and its holes in groups."""

    model: Trained
    form: Form
    bounds: Bounds
    settings: Settings
    first: Tokens
    groups: list[list[Place]]

    @classmethod
    def of(cls, model: Trained, form: Form, settings: Settings) -> "Ranked":
        """UserError for what cannot be ranked."""
        bounds = Bounds.of(settings)
        begins, front = tuple(model.begins), form.parts[0]
        if begins and not (isinstance(front, Fixed) and front.ids[: len(begins)] == begins):  # as of a template
            form = Form((Fixed(begins, ""), *form.parts))
        refuse_too_long(model, form)
        first, *after = _fixed(form)
        refuse_nothing_before(model.predictor, len(first))
        most = _most(form, model.context - 1 - sum(map(len, after[:-1])))
        groups: list[list[Place]] = []
        for number, (blank, size, follows) in enumerate(zip(form.blanks, most, after, strict=True)):
            if not number or len(after[number - 1]) > bounds.right:
                groups.append([])
            groups[-1].append(Place(number, blank, slot_of(model, blank, size, bounds.candidates), follows))
        return cls(model, form, bounds, settings, first, groups)

    def filled(self, top: int) -> Verb[list[Filled]]:
        """A completion for every sample. Asks for the finished texts, of which nothing is to be denoised."""
        known: dict[tuple[Tokens, ...], Group] = {}
        done: dict[tuple[Tokens, ...], tuple[Filled, Canvas]] = {}
        drawn = []
        for sample in range(self.settings.samples):
            fills: tuple[Tokens, ...] = ()
            chosen: list[tuple[Group, tuple[Tokens, ...]]] = []
            text = [*self.first]
            for number, places in enumerate(self.groups):
                if fills not in known:
                    known[fills] = yield from Group.of(self.model, places, text, self.bounds)
                group, key = known[fills], self._key.at(sample, number)
                choice = yield from group.choice(self.settings.strategy.filters.temperature, key)
                chosen.append((group, choice))
                fills += chosen[-1][1]
                for place, tokens in zip(places, chosen[-1][1], strict=True):
                    text += [*tokens, *place.after]
            if fills not in done:
                holes: list[HoleFill] = []
                for group, each in chosen:
                    holes += yield from group.holes(each, top)
                runs = sum(group.runs for group, _ in chosen)
                done[fills] = self._filled(fills, holes, runs), self._canvas(fills, runs)
            drawn.append(done[fills])
        canvas = Canvas.concatenate([canvas for _, canvas in drawn]).to(self.model.device)
        how = replace(self.settings, cache=None, candidates=None, right=None).decoder()
        yield from denoised(self.model.predictor, requests_of(self.model.predictor, canvas, how))
        return [filled for filled, _ in drawn]

    @property
    def _key(self) -> Draws:
        return Draws.seeded(self.settings.seed).stream("fill")

    def _filled(self, fills: Sequence[Tokens], holes: Sequence[HoleFill], runs: int) -> Filled:
        tokenizer = self.model.tokenizer
        return Filled(
            text=self.form.text([tokenizer.decode_bytes(tokens) for tokens in fills], tokenizer),
            holes=tuple(holes),
            nfe=runs,
            tokens_per_forward=sum(map(len, fills)) / runs,
            seed=self.settings.seed,
            strategy="ranked",
            model=self.model.name,
            note=advice(self.form, tokenizer) or "",
        )

    def _canvas(self, fills: Sequence[Tokens], runs: int) -> Canvas:
        """The finished text as a loop would leave it."""
        placement = Placement(self.model, self.form, [len(tokens) for tokens in fills])
        canvas = placement.canvas([self._key], self.settings)
        ids = canvas.ids.clone()
        for (begin, end), tokens in zip(placement.holes, fills, strict=True):
            ids[:, begin:end] = torch.tensor(tokens)
        pending = torch.zeros_like(canvas.pending)
        return canvas.replace(ids=ids, pending=pending, nfe=torch.full_like(canvas.nfe, runs))


def _fixed(form: Form) -> list[Tokens]:
    """The fixed tokens before the first hole, and those after each."""
    found: list[Tokens] = [()]
    for part in form.parts:
        if isinstance(part, Blank):
            found.append(())
        else:
            found[-1] = (*found[-1], *part.ids)
    return found


def _most(form: Form, room: int) -> list[int]:
    """Tokens of each hole, at most: those with a type share the room that the others leave."""
    typed = sum(blank.language is not None for blank in form.blanks)
    left = max(room - sum(blank.minimum if blank.language else blank.maximum for blank in form.blanks), 0)
    return [blank.minimum + left // typed if blank.language else blank.maximum for blank in form.blanks]


def slot_of(model: Trained, blank: Blank, most: int, count: int) -> Slot:
    """A blank of at most so many tokens, or its shortest length; all texts of a small type are kept."""
    language = blank.language or hole_text(model.tokenizer.tokens, blank.prefix).automaton
    lengths = tuple(size for size in blank.lengths if size <= most) or (blank.lengths[0],)
    return Slot(language, lengths, max(count, len(members(blank) or ())))
