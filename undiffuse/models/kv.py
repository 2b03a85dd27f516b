"""Keys and values of earlier forward passes, by absolute position."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..types import Tags


@dataclass(frozen=True, eq=False)
class KV:
    """One slot per absolute position and request; keys are stored after the rotary turn.

    `filled` slots hold a key. `clean` slots hold one that was computed when its block was finished. `stamp` is for
    whoever decides what to recompute: the window of the last refresh of each request, −1 before the first. The
    trunk writes in place. With `shadows` a second slot per position holds the keys of shadow rows, for the pass that
    wrote them. The last slot takes what padding rows write. `rows` are the requests that a pass is about (None: all).
    Keys and values are held in one tensor for all layers of a device, in the order of the layers.
    """

    keys: tuple[Float[Tensor, "layers R G slots d"], ...]
    values: tuple[Float[Tensor, "layers R G slots d"], ...]
    filled: Bool[Tensor, "R S"]
    clean: Bool[Tensor, "R S"]
    stamp: Int[Tensor, " R"]
    shadows: bool = False
    rows: Int[Tensor, " r"] | None = None

    @classmethod
    def empty(
        cls,
        layers: Sequence[tuple[torch.device, int]],
        requests: int,
        kv_heads: int,
        slots: int,
        head_dim: int,
        like: Float[Tensor, "..."],
        shadows: bool = False,
    ) -> "KV":
        """Nothing filled, for so many layers on each device; dtype and device of `like` (a weight of the network)."""
        shape = (requests, kv_heads, slots * (1 + shadows) + 1, head_dim)
        nothing = torch.zeros(requests, slots, dtype=torch.bool, device=like.device)
        stamp = torch.full((requests,), -1, device=like.device)
        # zeros, not empty: a slot that is never read still multiplies an attention weight of zero
        keys, values = (tuple(like.new_zeros((n, *shape), device=device) for device, n in layers) for _ in range(2))
        return cls(keys, values, nothing, nothing.clone(), stamp, shadows)

    @property
    def slots(self) -> int:
        return self.filled.shape[1]

    def of(self, rows: Int[Tensor, " r"]) -> "KV":
        """The same memory for a pass over some of the requests."""
        return replace(self, rows=rows)

    def on(self, device: torch.device) -> "KV":
        """The same memory for layers on a device; the memory itself is where it is."""
        return self if self.rows is None else replace(self, rows=self.rows.to(device))

    def tags(self, queries: Tags) -> Tags:
        """The keys that the given rows will see: every slot filled before, and these rows themselves."""
        rows, slot = self._address(queries)
        filled, clean = self._marked(self.filled, rows, slot, None), self._marked(self.clean, rows, slot, queries.clean)
        position = torch.arange(self.slots, device=self.filled.device).expand_as(filled[:, : self.slots])
        shadow = None
        if self.shadows:
            position = torch.cat((position, position), dim=1)
            shadow = (torch.arange(position.shape[1], device=position.device) >= self.slots).expand_as(position)
        return Tags(
            position,
            live=filled[:, :-1],
            clean=None if queries.clean is None else clean[:, :-1],
            shadow=None if queries.shadow is None else shadow,
        )

    @property
    def held(self) -> Tags:
        """What is there, of the requests that a pass is about."""
        place = slice(None) if self.rows is None else self.rows
        filled = self.filled[place]
        position = torch.arange(self.slots, device=filled.device).expand_as(filled)
        return Tags(position, live=filled, clean=self.clean[place])

    def cost(self, counts: Int[Tensor, " R"]) -> Int[Tensor, " R"]:
        """Rows that the last pass ran, given how many it was asked for."""
        return counts

    def mark(self, queries: Tags) -> None:
        """Note that the given rows were written."""
        rows, slot = self._address(queries)
        place = slice(None) if self.rows is None else self.rows
        self.filled[place] = self._marked(self.filled, rows, slot, None)[:, : self.slots]
        self.clean[place] = self._marked(self.clean, rows, slot, queries.clean)[:, : self.slots]

    def write(
        self,
        layer: int,
        queries: Tags,
        keys: Float[Tensor, "R G L d"],
        values: Float[Tensor, "R G L d"],
    ) -> tuple[Float[Tensor, "R G S d"], Float[Tensor, "R G S d"]]:
        """Store one layer's rows at their positions; returns all slots, as views where the pass is about everyone."""
        index, slot = self._address(queries)
        if self.rows is not None:
            index = self.rows[:, None]
        held, beside, number = self._of(layer)
        held[number][index, :, slot] = keys.transpose(1, 2)
        beside[number][index, :, slot] = values.transpose(1, 2)
        return self.read(layer)

    def read(self, layer: int) -> tuple[Float[Tensor, "R G S d"], Float[Tensor, "R G S d"]]:
        """All slots of one layer, as views where the pass is about everyone."""
        held, beside, number = self._of(layer)
        place = slice(None) if self.rows is None else self.rows
        return held[number, place, :, :-1], beside[number, place, :, :-1]

    def part(self, request: int, begin: int, end: int) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Copies of the keys and of the values of some positions of a request, (layers, G, positions, d) by device."""
        keys, values = (
            tuple(held[:, request, :, begin:end].clone() for held in each) for each in (self.keys, self.values)
        )
        return keys, values

    def put(self, request: int, begin: int, keys: Sequence[Tensor], values: Sequence[Tensor]) -> None:
        """Write such, which were computed when the text there was finished, in place."""
        end = begin + keys[0].shape[2]
        for mine, given in ((self.keys, keys), (self.values, values)):
            for held, part in zip(mine, given, strict=True):
                held[:, request, :, begin:end] = part
        self.filled[request, begin:end] = True
        self.clean[request, begin:end] = True

    def _of(self, layer: int) -> tuple[Float[Tensor, "layers R G slots d"], Float[Tensor, "layers R G slots d"], int]:
        """Keys and values of the layers of a layer's device, and its number among them."""
        part = 0
        while layer >= len(self.keys[part]):
            layer, part = layer - len(self.keys[part]), part + 1
        return self.keys[part], self.values[part], layer

    def _address(self, tags: Tags) -> tuple[Int[Tensor, "r 1"], Int[Tensor, "r L"]]:
        """Row within the pass, and slot, of every row of the network."""
        slot = tags.position
        if tags.shadow is not None:
            if not self.shadows:
                raise ValueError("this memory has no slots for shadow rows")
            slot = slot + self.slots * tags.shadow
        if tags.live is not None:
            slot = torch.where(tags.live, slot, self.slots * (1 + self.shadows))
        return torch.arange(slot.shape[0], device=slot.device)[:, None], slot

    def _marked(self, flags: Tensor, rows: Tensor, slot: Tensor, values: Tensor | None) -> Bool[Tensor, "r slots"]:
        """Flags of all slots, shadow and padding slots included, with those of the given rows set to `values`."""
        flags = flags if self.rows is None else flags[self.rows]
        flags = torch.nn.functional.pad(flags, (0, self.slots * self.shadows + 1))
        flags[rows, slot] = torch.ones_like(slot, dtype=torch.bool) if values is None else values
        return flags

    def __getitem__(self, requests: Int[Tensor, " r"] | Bool[Tensor, " R"]) -> "KV":
        """The given requests alone, as a copy."""
        return replace(
            self,
            keys=tuple(held[:, requests.to(held.device)] for held in self.keys),
            values=tuple(held[:, requests.to(held.device)] for held in self.values),
            filled=self.filled[requests],
            clean=self.clean[requests],
            stamp=self.stamp[requests],
        )

    def widened(self, slots: int) -> "KV":
        """The same memory with room for more positions."""
        if slots == self.slots:
            return self

        def wider(held: Tensor) -> Tensor:
            new = held.new_zeros(*held.shape[:3], slots * (1 + self.shadows) + 1, held.shape[4])
            new[:, :, :, : self.slots] = held[:, :, :, : self.slots]  # those of shadow rows belong to one pass
            return new

        keys, values = (tuple(map(wider, all_layers)) for all_layers in (self.keys, self.values))
        more = (0, slots - self.slots)
        filled, clean = (torch.nn.functional.pad(flags, more) for flags in (self.filled, self.clean))
        return replace(self, keys=keys, values=values, filled=filled, clean=clean)

    def join(self, other: "KV") -> "KV":
        """Requests of both, with the same number of slots."""
        flat = ("filled", "clean", "stamp")
        return replace(
            self,
            keys=tuple(torch.cat(pair, dim=1) for pair in zip(self.keys, other.keys, strict=True)),
            values=tuple(torch.cat(pair, dim=1) for pair in zip(self.values, other.values, strict=True)),
            **{name: torch.cat((getattr(self, name), getattr(other, name))) for name in flat},
        )

    def reset(self, requests: Bool[Tensor, " R"]) -> None:
        """Forget all of some requests, in place."""
        self.filled.masked_fill_(requests[:, None], False)
        self.clean.masked_fill_(requests[:, None], False)
        self.stamp.masked_fill_(requests, -1)

    def forget(self, where: Bool[Tensor, "R S"]) -> "KV":
        """The same memory with some slots no longer filled."""
        return replace(self, filled=self.filled & ~where, clean=self.clean & ~where)
