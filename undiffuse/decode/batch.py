"""What is decoded side by side: requests with any strategies, lengths, caches, guidance, constraints and limits.

Requests that are decided alike form a group; those whose keys and values are kept alike form a lane, and share forward
passes. All that belongs to a request lies in its rows of the canvas and of what its group and lane remember, so joining
is concatenation and leaving is indexing. Which rows belong together is known on the host; nothing asks the device.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from ..models.kept import Kept
from .caches.cache import CachePolicy
from .caches.none import NoCache
from .canvas import Canvas
from .constraint import Constraint
from .decoder import Decoder
from .request import Between
from .strategies.strategy import Memory

FEEDBACK = "feedback"
"""In a group's memory what the network is told of its own last prediction, (n, L, d), if it takes that; 0: nothing yet.

The loop keeps it beside what the strategy remembers, and whoever leaves the batch takes his with him.
"""


@dataclass(frozen=True, eq=False)
class Seat:
    """What a request brought: how it is decoded, who is asked between its steps, and when it began (seconds)."""

    how: Decoder
    between: Between | None
    began: float


@dataclass(frozen=True, eq=False)
class Seats:
    """Those of all requests of a batch, in order, and which of them have what few have."""

    each: tuple[Seat, ...]

    @cached_property
    def limited(self) -> list[int]:
        """Requests that are limited."""
        return [row for row, seat in enumerate(self.each) if seat.how.limits.any]

    @cached_property
    def asked(self) -> list[int]:
        """Requests with someone to be asked between steps."""
        return [row for row, seat in enumerate(self.each) if seat.between is not None]

    @cached_property
    def early(self) -> bool | Bool[Tensor, "R 1"]:
        """Which requests a stop token ends before its block is finished, on the host; one answer where all agree."""
        answers = [seat.how.early for seat in self.each]
        return answers[0] if len(set(answers)) == 1 else torch.tensor(answers)[:, None]

    @cached_property
    def copies(self) -> Int[Tensor, " R"]:
        """How often each request goes through the network, on the host."""
        return torch.tensor([seat.how.copies for seat in self.each], dtype=torch.long)

    def passes(self, rows: Int[Tensor, " n"]) -> Int[Tensor, " E"]:
        """What goes through the network for some requests: copy · R + request, ascending, so originals come first."""
        copies = self.copies[rows]
        most = int(copies.max()) if len(rows) else 0
        return torch.cat([rows, *(rows[copies > copy] + copy * len(self.each) for copy in range(1, most))])

    @cached_property
    def everyone(self) -> Int[Tensor, " E"]:
        return self.passes(torch.arange(len(self.each)))

    def tables(self, device: torch.device) -> tuple[Int[Tensor, "R n"] | None, Int[Tensor, "R m"] | None]:
        """The stop tokens and the banned ones of every request."""
        return tuple(
            None if table is None else torch.tensor(table, device=device)
            for table in (
                _table([seat.how.stop for seat in self.each]),
                _table([seat.how.banned for seat in self.each]),
            )
        )  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class Group:
    """Requests with one strategy, one guidance and one kind of constraint: what is decided about them together.

    `how` is that of any of them; only what they share of it counts. `rows` ascend and lie on the host. The tensors of
    the memory have the group's requests first, and then positions, where they have a second axis.
    """

    rows: Int[Tensor, " n"]
    how: Decoder
    constraint: Constraint | None
    memory: Memory

    def suits(self, how: Decoder) -> bool:
        mine = self.how
        return (mine.strategy, mine.guidance, mine.kind) == (how.strategy, how.guidance, how.kind)


@dataclass(frozen=True, eq=False)
class Lane:
    """Requests that share forward passes: one cache, and all with shadow rows or none. `kept` has the batch's copies
    of them in order (`Batch.passes`)."""

    rows: Int[Tensor, " n"]
    cache: CachePolicy
    shadows: bool
    kept: Kept | None = None

    def suits(self, other: "Lane") -> bool:
        return (self.cache, self.shadows) == (other.cache, other.shadows)


@dataclass(frozen=True, eq=False)
class Batch:
    """Requests side by side. `most_steps` (R,) is the step before which each must have ended.

    `stepped` is when the last step of each request began (seconds, by its own clock), `stop` and `banned` are the
    tokens that it named (`Seats.tables`).
    """

    canvas: Canvas
    seats: Seats
    groups: tuple[Group, ...]
    lanes: tuple[Lane, ...]
    most_steps: Int[Tensor, " R"]
    stepped: tuple[float, ...]
    stop: Int[Tensor, "R n"] | None
    banned: Int[Tensor, "R m"] | None

    def __len__(self) -> int:
        return len(self.seats.each)

    def passes(self, rows: Int[Tensor, " n"]) -> Int[Tensor, " E"]:
        """What goes through the network for some requests; see `Seats`."""
        return self.seats.passes(rows)

    @property
    def everyone(self) -> Int[Tensor, " E"]:
        return self.seats.everyone

    def running(self) -> list[int]:
        """Requests that are not done. RuntimeError if one is not although its strategy said that it would be."""
        late = self.canvas.step >= self.most_steps
        done, overdue = torch.stack((self.canvas.done, late & ~self.canvas.done)).tolist()
        for row, is_overdue in enumerate(overdue):
            if is_overdue:
                strategy = self.seats.each[row].how.strategy
                raise RuntimeError(f"{strategy} left positions pending beyond its bound on steps")
        return [row for row, ended in enumerate(done) if not ended]

    def replace(self, canvas: Canvas) -> "Batch":
        return replace(self, canvas=canvas)

    def uncached(self) -> "Batch":
        """The same, with nothing kept from earlier passes."""
        shadowed = {lane.shadows for lane in self.lanes}
        lanes = {kind: torch.cat([lane.rows for lane in self.lanes if lane.shadows == kind]) for kind in shadowed}
        return replace(self, lanes=tuple(Lane(rows.sort()[0], NoCache(), kind) for kind, rows in lanes.items()))

    def select(self, rows: Sequence[int]) -> "Batch":
        """Some of the requests, each at most once: how they leave a batch."""
        chosen = torch.tensor(rows, dtype=torch.long)
        index = chosen.to(self.canvas.ids.device)
        place = torch.full((len(self),), -1).index_copy(0, chosen, torch.arange(len(chosen)))
        seats = Seats(tuple(self.seats.each[row] for row in rows))
        groups = []
        for group in self.groups:
            new, old = _places(place, group.rows)
            if len(new):
                memory = {name: value[old.to(value.device)] for name, value in group.memory.items()}
                groups.append(Group(new, group.how, constraint_of(seats, new), memory))
        after = Batch(
            self.canvas.select(index),
            seats,
            tuple(groups),
            (),
            self.most_steps[index],
            tuple(self.stepped[row] for row in rows),
            None if self.stop is None else self.stop[index],
            None if self.banned is None else self.banned[index],
        )
        lanes = []
        for lane in self.lanes:
            new, _ = _places(place, lane.rows)
            if len(new):
                kept = lane.kept
                if kept is not None:
                    passes = after.passes(new)
                    before = passes // len(after) * len(self) + chosen[passes % len(after)]
                    kept = kept[torch.searchsorted(self.passes(lane.rows), before).to(index.device)]
                lanes.append(Lane(new, lane.cache, lane.shadows, kept))
        return replace(after, lanes=tuple(lanes))

    def join(self, other: "Batch") -> "Batch":
        """The requests of both, at whatever step they are; the other's come after."""
        first, length = len(self), max(self.canvas.ids.shape[1], other.canvas.ids.shape[1])
        seats = Seats(self.seats.each + other.seats.each)
        groups: list[Group] = []
        for group in (*self.groups, *(replace(group, rows=group.rows + first) for group in other.groups)):
            memory = {name: _widened(value, length) for name, value in group.memory.items()}
            mate = next((mate for mate in groups if mate.suits(group.how)), None)
            if mate is None:
                groups.append(replace(group, memory=memory))
            else:
                rows = torch.cat((mate.rows, group.rows))
                memory = {name: torch.cat((value, memory[name])) for name, value in mate.memory.items()}
                groups[groups.index(mate)] = Group(rows, mate.how, constraint_of(seats, rows), memory)
        after = Batch(
            Canvas.concatenate([self.canvas, other.canvas]),
            seats,
            tuple(groups),
            (),
            torch.cat((self.most_steps, other.most_steps)),
            self.stepped + other.stepped,
            *seats.tables(self.canvas.ids.device),
        )
        lanes: list[Lane] = []
        for lane in (*self.lanes, *(replace(lane, rows=lane.rows + first) for lane in other.lanes)):
            kept = None if lane.kept is None else lane.kept.widened(length)
            lane = replace(lane, kept=kept)
            near = next((other for other in lanes if other.suits(lane)), None)
            if near is None:
                lanes.append(lane)
                continue
            if kept is not None and near.kept is not None:
                order = torch.cat((after.passes(near.rows), after.passes(lane.rows))).argsort()
                kept = near.kept.join(kept)  # type: ignore[arg-type]
                if not torch.equal(order, torch.arange(len(order))):
                    kept = kept[order.to(kept.stamp.device)]
            lanes[lanes.index(near)] = replace(lane, rows=torch.cat((near.rows, lane.rows)), kept=kept)
        return replace(after, lanes=tuple(lanes))

    def hurried(self) -> "Batch":
        """The same, with every request completed by its next evaluation."""
        each = [
            replace(seat, how=replace(seat.how, limits=replace(seat.how.limits, max_nfe=1))) for seat in self.seats.each
        ]
        return replace(self, seats=Seats(tuple(each)))

    def abort(self, rows: Sequence[int]) -> "Batch":
        """The same with some requests ended as they are; they may be left in the batch, where they cost nothing."""
        which = torch.zeros(len(self), dtype=torch.bool).index_fill(0, torch.tensor(rows, dtype=torch.long), True)
        return self.replace(self.canvas.replace(aborted=self.canvas.aborted | which.to(self.canvas.aborted.device)))

    def of(self, group: Group) -> Canvas:
        """The canvas of a group."""
        part = self.part(group.rows)
        return self.canvas if part == slice(None) else self.canvas.select(part)

    def part(self, rows: Int[Tensor, " n"], size: int | None = None) -> slice | Tensor:
        """What picks ascending rows, of `size` in all: a slice where they lie together, which copies nothing."""
        size = len(self) if size is None else size
        if len(rows) == size:
            return slice(None)
        first, last = int(rows[0]), int(rows[-1])
        if last - first + 1 == len(rows):
            return slice(first, last + 1)
        return rows.to(self.canvas.ids.device)

    def spread(self, values: Sequence[Tensor]) -> Tensor:
        """One value per group, each with the group's requests first, as one with all requests first."""
        if len(values) == 1:
            return values[0]
        whole = values[0].new_zeros(len(self), *values[0].shape[1:])
        for group, value in zip(self.groups, values, strict=True):
            whole[self.part(group.rows)] = value
        return whole


def seated(
    canvas: Canvas, seats: Seats, groups: Iterable[Group], lanes: Iterable[Lane], most_steps: Int[Tensor, " R"]
) -> Batch:
    """A batch of requests that begin now."""
    stepped = tuple(seat.began for seat in seats.each)
    return Batch(canvas, seats, tuple(groups), tuple(lanes), most_steps, stepped, *seats.tables(canvas.ids.device))


def alike(seats: Seats, suits: Callable[[Decoder, Decoder], bool]) -> list[tuple[Int[Tensor, " n"], Decoder]]:
    """Rows whose requests are decoded alike, and how the first of each is."""
    found: list[tuple[Decoder, list[int]]] = []
    for row, seat in enumerate(seats.each):
        for how, rows in found:
            if how is seat.how or suits(how, seat.how):
                rows.append(row)
                break
        else:
            found.append((seat.how, [row]))
    return [(torch.tensor(rows), how) for how, rows in found]


def constraint_of(seats: Seats, rows: Int[Tensor, " n"]) -> Constraint | None:
    """The constraints of a group as one."""
    first = seats.each[int(rows[0])].how.constraint
    if first is None:
        return None
    others = [seats.each[row].how.constraint for row in rows[1:].tolist()]
    return first.join([other for other in others if other is not None])


def _table(lists: Sequence[tuple[int, ...]]) -> list[list[int]] | None:
    """The tokens that each request names, its first repeated, −1 where it names none; None if nobody does."""
    most = max(map(len, lists), default=0)
    return [[*t, *[t[0] if t else -1] * (most - len(t))] for t in lists] if most else None


def _places(place: Int[Tensor, " R"], rows: Int[Tensor, " n"]) -> tuple[Int[Tensor, " m"], Int[Tensor, " m"]]:
    """Where the rows go that stay, ascending, and which of `rows` each is."""
    new = place[rows]
    order = new.argsort()[int((new < 0).sum()) :]
    return new[order], order


def _widened(value: Shaped[Tensor, " n *rest"], length: int) -> Shaped[Tensor, " n *more"]:
    """A memory of more positions, where it has any."""
    if value.ndim == 1 or value.shape[1] == length:
        return value
    wide = value.new_zeros(value.shape[0], length, *value.shape[2:])
    wide[:, : value.shape[1]] = value
    return wide
