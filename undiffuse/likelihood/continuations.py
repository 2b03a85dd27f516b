"""Many texts that begin alike, read by a causal network that runs their common beginning once.

The network gives p(x_i | x before i), so that of tokens x_1 … x_m after a beginning

    ln p(x_1 … x_m | beginning) = Σ_j ln p(x_j | beginning, x_1 … x_{j−1})        (nats),

exactly. A `Stem` is the beginning, run in one pass; `Continuations` are rows that leave it, each at a place of its own,
and run what they add to it, a column a token. What a row says does not depend on the rows beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..errors import not_finite
from ..models.branches import Branches
from ..models.kept import Keys
from ..models.kv import KV
from ..predictor import Predictor
from ..types import State, Tags

COLUMNS = 1024
"""Columns that a pass runs, padding included."""
KEYS = 1 << 15
"""Keys that the rows of a pass see together: what they share is copied for a layer at a time."""
HEADS = 512
"""Positions that go through the head together: a large vocabulary makes a gigabyte of a few thousand."""


@dataclass(frozen=True, eq=False)
class Stem:
    """A beginning of n tokens; row p of `hidden` speaks of position p, the last one of what comes after it.

    `kv` has its keys; None: nothing is kept, and every row is run from its start.
    """

    predictor: Predictor
    ids: Int[Tensor, " n"]
    kv: KV | None
    hidden: Float[Tensor, "m D"]

    @classmethod
    @torch.no_grad()
    def of(cls, predictor: Predictor, ids: Sequence[int], keep: bool = True) -> "Stem":
        """One pass over some tokens: at least one where the network has no start of its own."""
        device = predictor.denoiser.device
        text = torch.tensor([*ids, 0], dtype=torch.long, device=device)[None]
        sites = torch.arange(text.shape[1], device=device)[None]
        stop = int(predictor.speaks(sites, sites)[0, -1]) + 1
        keep = keep and "keys" in predictor.traits.keeps
        kv = predictor.denoiser.memory(1, stop) if keep else None
        columns = sites[:, :stop]
        hidden = _run(predictor, text, columns, torch.ones_like(columns, dtype=torch.bool), sites, kv)
        return cls(predictor, text[0, :-1], kv, hidden[0])

    def log_p(self, places: Int[Tensor, " k"]) -> Float[Tensor, "k V"]:
        """ln p of the tokens at some positions, each given all before it."""
        return _log_p(self.predictor, self.hidden[places])

    def leave(self, places: Int[Tensor, " R"], told: bool = False) -> "Continuations":
        """Rows that have the tokens before a place, and nothing yet from there.

        `told`: what the stem says of the place is known (`log_p`), and the first token there will be put.
        """
        length = max(int(places.max()), 1) if len(places) else 1
        ids = self.ids.new_zeros(len(places), length + 1)
        ids[:, : len(self.ids[: length + 1])] = self.ids[: length + 1]
        if self.kv is None:
            return Continuations(self.predictor, ids, places, torch.zeros_like(places), None)
        run = places + self.predictor.traits.logit_row + told
        own = self.predictor.denoiser.memory(len(places), 1)
        return Continuations(self.predictor, ids, places, run, Branches.of(self.kv, own, run))


@dataclass(frozen=True, eq=False)
class Continuations:
    """R rows: the first `size` of their `ids` are tokens, of the first `run` columns keys are kept.

    The token at a row's end is put there by its caller, who has read its probability; what follows is read here.
    """

    predictor: Predictor
    ids: Int[Tensor, "R L"]
    size: Int[Tensor, " R"]
    run: Int[Tensor, " R"]
    kept: Branches | None

    def __len__(self) -> int:
        return len(self.size)

    def __getitem__(self, rows: Int[Tensor, " r"]) -> "Continuations":
        """The given rows, of which one may be given several times."""
        kept = None if self.kept is None else self.kept[rows]
        return replace(self, ids=self.ids[rows], size=self.size[rows], run=self.run[rows], kept=kept)

    def put(self, tokens: Int[Tensor, " R"]) -> "Continuations":
        """With one more token on each row, which is not read."""
        one = torch.ones_like(self.size)
        return self._with(tokens[:, None], one)

    @torch.no_grad()
    def following(self) -> tuple["Continuations", Float[Tensor, "R V"]]:
        """ln p of what comes next on each row; the rows as they are now, after which a token is put."""
        found = [part._following() for part in self._parts(torch.ones_like(self.size))]
        return joined([rows for rows, _ in found]), torch.cat([log_p for _, log_p in found])

    @torch.no_grad()
    def along(self, tokens: Sequence[Sequence[int]]) -> tuple["Continuations", Float[Tensor, " R"]]:
        """With some more tokens on each row, and ln p of them together given what stands before (nats)."""
        padded, sizes = self._padded(tokens)
        found = [part._along(padded[at], sizes[at]) for at, part in self._numbered(sizes)]
        return joined([rows for rows, _ in found]), torch.cat([nats for _, nats in found])

    @torch.no_grad()
    def scores(self, tokens: Sequence[Sequence[int]]) -> Float[Tensor, " R"]:
        """ln p of some tokens after each row, of which nothing is kept."""
        padded, sizes = self._padded(tokens)
        nats = self.size.new_zeros(len(self), dtype=torch.float64)
        for at, part in self._numbered(sizes):
            nats[at] = part._along(padded[at], sizes[at])[1]
        return nats

    def _padded(self, tokens: Sequence[Sequence[int]]) -> tuple[Int[Tensor, "R m"], Int[Tensor, " R"]]:
        device = self.ids.device
        sizes = torch.tensor([len(each) for each in tokens], dtype=torch.long, device=device)
        rows = [torch.tensor(list(each), dtype=torch.long) for each in tokens]
        return pad_sequence(rows, batch_first=True).to(device), sizes

    def _numbered(self, sizes: Int[Tensor, " R"]) -> list[tuple[Int[Tensor, " r"], "Continuations"]]:
        """As many rows at a time as a pass takes, with their numbers: copies, whose memory a pass may write."""
        columns = int((self.size + sizes - self.run).max())
        slots = int((self.size + sizes).max()) + (0 if self.kept is None else columns)
        most = max(1, min(COLUMNS // max(columns, 1), KEYS // max(slots, 1)))
        every = torch.arange(len(self), device=self.ids.device)
        return [(at, self[at]) for at in every.split(most)]

    def _parts(self, sizes: Int[Tensor, " R"]) -> list["Continuations"]:
        return [part for _, part in self._numbered(sizes)]

    def _following(self) -> tuple["Continuations", Float[Tensor, "R V"]]:
        rows, hidden = self._read(self.size, torch.ones_like(self.size))
        return rows, _log_p(self.predictor, hidden[:, 0])

    def _along(
        self, tokens: Int[Tensor, "R m"], sizes: Int[Tensor, " R"]
    ) -> tuple["Continuations", Float[Tensor, " R"]]:
        if not int(sizes.max()):
            return self, torch.zeros_like(sizes, dtype=torch.float64)
        first = self.size
        rows, hidden = self._with(tokens, sizes)._read(first, sizes)
        live = torch.arange(hidden.shape[1], device=sizes.device) < sizes[:, None]
        truth = tokens[:, : hidden.shape[1]][live]
        nats = [
            _nats(self.predictor, some, ids)
            for some, ids in zip(hidden[live].split(HEADS), truth.split(HEADS), strict=True)
        ]
        each = torch.zeros(live.shape, dtype=torch.float64, device=sizes.device).masked_scatter(live, torch.cat(nats))
        return rows, each.sum(-1)

    def _with(self, tokens: Int[Tensor, "R m"], sizes: Int[Tensor, " R"]) -> "Continuations":
        """More tokens on each row, padding on their right."""
        place = self.size[:, None] + torch.arange(tokens.shape[1], device=tokens.device)
        wide = max(int(place.max()) + 2, self.ids.shape[1])
        ids = torch.nn.functional.pad(self.ids, (0, wide - self.ids.shape[1])).scatter(1, place, tokens)
        return replace(self, ids=ids, size=self.size + sizes)

    def _read(
        self, first: Int[Tensor, " R"], count: Int[Tensor, " R"]
    ) -> tuple["Continuations", Float[Tensor, "R M D"]]:
        """What speaks of `count` positions of each row from `first`, and the rows with the keys of it."""
        device, predictor = self.ids.device, self.predictor
        stop = first + count + predictor.traits.logit_row
        width = int((stop - self.run).max())
        columns = self.run[:, None] + torch.arange(width, device=device)
        sites = first[:, None] + torch.arange(int(count.max()), device=device)
        wide = max(int(columns.max()), int(sites.max())) + 1
        ids = torch.nn.functional.pad(self.ids, (0, max(0, wide - self.ids.shape[1])))
        kept = None if self.kept is None else self.kept.widened(int((stop - self.kept.shared).max()))
        hidden = _run(predictor, ids, columns, columns < stop[:, None], sites, kept)
        run = self.run if kept is None else stop
        return replace(self, ids=ids, run=run, kept=kept), hidden


def joined(parts: Sequence[Continuations]) -> Continuations:
    """Rows of several, which leave one stem."""
    if len(parts) == 1:
        return parts[0]
    wide = max(part.ids.shape[1] for part in parts)
    ids = torch.cat([torch.nn.functional.pad(part.ids, (0, wide - part.ids.shape[1])) for part in parts])
    size, run = (torch.cat([getattr(part, name) for part in parts]) for name in ("size", "run"))
    memories = [part.kept for part in parts if part.kept is not None]
    if not memories:
        return replace(parts[0], ids=ids, size=size, run=run)
    slots = max(memory.own.slots for memory in memories)
    kept, *others = (memory.widened(slots) for memory in memories)
    for other in others:
        kept = kept.join(other)
    return replace(parts[0], ids=ids, size=size, run=run, kept=kept)


def _run(
    predictor: Predictor,
    ids: Int[Tensor, "R L"],
    columns: Int[Tensor, "R n"],
    live: Bool[Tensor, "R n"],
    sites: Int[Tensor, "R M"],
    kept: Keys | None,
) -> Float[Tensor, "R M D"]:
    """What speaks of the sites after a pass over some columns."""
    # beyond the context there is padding alone
    place = torch.arange(ids.shape[1], device=ids.device).clamp(max=predictor.traits.context - 1).expand_as(ids)
    t, fixed = torch.zeros(ids.shape, dtype=torch.float64, device=ids.device), torch.zeros_like(ids, dtype=torch.bool)
    rows = predictor.rows(State(ids), t, Tags(place), fixed, at=columns, live=live, of=sites)
    return predictor.run(rows, kept)


def _log_p(predictor: Predictor, hidden: Float[Tensor, "k D"]) -> Float[Tensor, "k V"]:
    """ln p of every row of the vocabulary."""
    return _logits(predictor, hidden).log_softmax(-1)


def _nats(predictor: Predictor, hidden: Float[Tensor, "k D"], ids: Int[Tensor, " k"]) -> Float[Tensor, " k"]:
    """ln p of one row each, float64."""
    logits = _logits(predictor, hidden)
    return logits.gather(-1, ids[:, None])[:, 0].double() - logits.logsumexp(-1).double()


def _logits(predictor: Predictor, hidden: Float[Tensor, "k D"]) -> Float[Tensor, "k V"]:
    """UserError where one is not finite."""
    nowhere = torch.zeros(len(hidden), dtype=torch.long, device=hidden.device)
    logits = predictor.read(hidden, State(nowhere), nowhere.double()).logits
    if not bool((logits.amax(-1) < torch.inf).all()):  # false of NaN
        raise not_finite(hidden.dtype)
    return logits
