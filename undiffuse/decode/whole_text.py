"""The constraint that what a model writes is text: whole UTF-8 characters, after the prefix that a hole asks for.

Or text of the language of an automaton. There tokens are proposed together (`automaton`), and every part of such a
proposal may be committed; elsewhere tokens are proposed one by one.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..randomness import Draws, draw_categorical
from ..text.automaton import Array, Automaton
from ..text.utf8 import HoleText
from .automaton import Program
from .canvas import Canvas
from .constraint import Constraint
from .passes import Sites
from .proposal import Restricted


@dataclass(frozen=True, eq=False)
class Span:
    """Consecutive positions of one request and what they may hold together."""

    row: int
    start: int
    stop: int
    text: HoleText | Automaton


@dataclass(frozen=True, eq=False)
class Hole:
    """Spans of several requests with one automaton and one place; `here` are the sites of its positions, −1: none."""

    rows: Int[Tensor, " S"]
    start: int
    stop: int
    here: Int[Tensor, "S n"]
    program: Program

    @property
    def read(self) -> Bool[Tensor, "S n"]:
        """Which positions have a site."""
        return self.here >= 0

    @property
    def sites(self) -> tuple[Tensor, Tensor]:
        """Requests and numbers of the sites, in the order of `read`."""
        return self.rows[:, None].expand_as(self.here)[self.read], self.here[self.read]


@dataclass(frozen=True, eq=False)
class WholeText(Constraint):
    """Only tokens that leave a valid completion of every span. Positions outside the spans are not constrained."""

    spans: Sequence[Span]

    def select(self, rows: list[int]) -> "WholeText":
        place = {row: number for number, row in enumerate(rows)}
        return WholeText([replace(span, row=place[span.row]) for span in self.spans if span.row in place])

    @property
    def kind(self) -> Hashable:
        return WholeText, any(isinstance(span.text, Automaton) for span in self.spans)

    def join(self, others: Sequence[Constraint]) -> "WholeText":
        spans = list(self.spans)
        for row, other in enumerate(others, start=1):
            assert isinstance(other, WholeText)
            spans += [replace(span, row=row) for span in other.spans]
        return WholeText(spans)

    def reads(self, canvas: Canvas, wanted: Bool[Tensor, "R L"]) -> Bool[Tensor, "R L"]:
        """Of a span with an automaton all that is open in the window: the law of one token hangs on the others."""
        wanted, open_ = wanted.clone(), canvas.window & canvas.pending
        for span in self.spans:
            if isinstance(span.text, Automaton):
                here = (span.row, slice(span.start, span.stop))
                wanted[here] |= open_[here] & (wanted & open_)[here].any()
        return wanted

    def allowed(self, canvas: Canvas, sites: Sites) -> Bool[Tensor, "R M V"] | None:
        rows = len(self.spans[0].text.of_token) if self.spans else 0
        count, device = sites.index.shape[1], canvas.ids.device
        everything = torch.ones(len(canvas.ids), count, rows, dtype=torch.bool, device=device)
        number = torch.arange(count, device=device).expand_as(sites.index)
        slots = sites.scatter(number, torch.full_like(canvas.ids, -1)).tolist()
        decided = _decided(canvas)
        asked: dict[HoleText | Automaton, list[tuple[int, int, Array]]] = {}
        for span in self.spans:
            committed, here = (line[span.row][span.start : span.stop] for line in (decided, slots))
            if None in committed and max(here) >= 0:
                tables = span.text.allowed_everywhere(committed)
                asked.setdefault(span.text, []).extend(
                    (span.row, slot, table) for slot, table in zip(here, tables, strict=True) if slot >= 0
                )
        for text, found in asked.items():
            row, slot, tables = zip(*found, strict=True)
            of_token = torch.as_tensor(text.of_token, device=device)
            everything[list(row), list(slot)] = torch.as_tensor(np.array(tables), device=device)[:, of_token]
        return everything

    def together(
        self, canvas: Canvas, sites: Sites, chosen: Bool[Tensor, "R M"], ids: Int[Tensor, "R M"]
    ) -> Bool[Tensor, "R M"]:
        """One by one in reading order: each token given those already kept, and then each exchange of a decided one."""
        blank = torch.full_like(canvas.ids, -1)
        wanted = sites.scatter(torch.where(chosen, ids, -1), blank).tolist()
        decided = _decided(canvas)
        kept = torch.ones_like(canvas.pending)
        for span in self.spans:
            committed = decided[span.row][span.start : span.stop]
            tokens = [
                (place, token) for place, token in enumerate(wanted[span.row][span.start : span.stop]) if token >= 0
            ]
            for place, token in sorted(tokens, key=lambda each: committed[each[0]] is not None):
                if span.text.allowed(committed, place)[span.text.of_token[token]]:
                    committed[place] = token
                else:
                    kept[span.row, span.start + place] = False
        return chosen & sites.gather(kept)

    def joint(
        self, canvas: Canvas, sites: Sites, log_p: Float[Tensor, "R M V"], draws: Draws | None
    ) -> Restricted | None:
        """Exact for the product of the marginals over each span of an automaton; as before everywhere else."""
        if not any(isinstance(span.text, Automaton) for span in self.spans):
            return None
        keys = draws.stream("token") if draws else None
        ids = log_p.argmax(-1) if keys is None else draw_categorical(log_p.exp(), keys)
        chosen = log_p.clone()
        everywhere = canvas.draws.stream("token").key
        for hole in self._holes(canvas, sites, log_p):
            # positions that were not read have the canvas's own keys
            own = None
            if keys is not None:
                there = everywhere[hole.rows, hole.start : hole.stop]
                own = Draws(torch.where(hole.read, keys.key[hole.rows[:, None], hole.here.clamp(min=0)], there))
            found = hole.program.restricted(own)
            ids[hole.sites] = found.ids[hole.read]
            chosen[hole.sites] = found.log_p[hole.read].to(log_p.dtype)
        return Restricted(ids, chosen)

    def chained(
        self,
        canvas: Canvas,
        sites: Sites,
        log_p: Float[Tensor, "R M V"],
        put: Bool[Tensor, "R M"],
        ids: Int[Tensor, "R M"],
        logp: Float[Tensor, "R M"],
    ) -> Float[Tensor, "R M"]:
        logp = logp.clone()
        for hole in self._holes(canvas, sites, log_p, put):
            tokens = torch.full_like(hole.here, -1)
            tokens[hole.read] = torch.where(put, ids, -1)[hole.sites]
            logp[hole.sites] = hole.program.chain(tokens)[hole.read]
        return logp

    def _holes(
        self, canvas: Canvas, sites: Sites, log_p: Float[Tensor, "R M V"], wanted: Bool[Tensor, "R M"] | None = None
    ) -> "Iterator[Hole]":
        """The spans of an automaton of which a (wanted) site is read, those of one automaton at one place together."""
        holes: dict[tuple[int, int, int], list[Span]] = {}
        for span in self.spans:
            if isinstance(span.text, Automaton):
                holes.setdefault((id(span.text), span.start, span.stop), []).append(span)
        open_sites = sites.live & sites.gather(canvas.pending)
        number = torch.arange(sites.index.shape[1], device=log_p.device).expand_as(sites.index)
        slot = Sites(sites.index, open_sites).scatter(number, torch.full_like(canvas.ids, -1))
        for (_, start, stop), spans in holes.items():
            automaton = spans[0].text
            assert isinstance(automaton, Automaton)
            rows = torch.tensor([span.row for span in spans], device=log_p.device)
            here = slot[rows, start:stop]
            asked = here >= 0 if wanted is None else (here >= 0) & wanted[rows[:, None], here.clamp(min=0)]
            if bool(asked.any()):
                decided = canvas.ids[rows, start:stop].masked_fill(canvas.pending[rows, start:stop], -1)
                program = Program.of(automaton, log_p[rows[:, None], here.clamp(min=0)], decided, here >= 0)
                yield Hole(rows, start, stop, here, program)


def _decided(canvas: Canvas) -> list[list[int | None]]:
    """Tokens per request, None where pending."""
    return [
        [None if open_ else token for token, open_ in zip(row, pending, strict=True)]
        for row, pending in zip(canvas.ids.tolist(), canvas.pending.tolist(), strict=True)
    ]
