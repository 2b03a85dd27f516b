"""Keys and values of earlier forward passes, by absolute position."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..types import Tags


@dataclass(frozen=True, eq=False)
class KV:
    """One slot per absolute position and request; keys are stored after the rotary turn.

    `filled` slots hold a key. `clean` slots hold one that was computed when the position was finished; whoever runs the
    trunk marks them. Slot S, beyond the last position, takes what padding rows write. The trunk writes in place.
    """

    keys: Float[Tensor, "layers R G slots d"]
    values: Float[Tensor, "layers R G slots d"]
    filled: Bool[Tensor, "R S"]
    clean: Bool[Tensor, "R S"]

    @classmethod
    def empty(
        cls, layers: int, requests: int, kv_heads: int, slots: int, head_dim: int, like: Float[Tensor, "..."]
    ) -> "KV":
        """Nothing filled; dtype and device of `like` (a weight of the network)."""
        shape = (layers, requests, kv_heads, slots + 1, head_dim)
        nothing = torch.zeros(requests, slots, dtype=torch.bool, device=like.device)
        # zeros, not empty: a slot that is never read still multiplies an attention weight of zero
        return cls(like.new_zeros(shape), like.new_zeros(shape), nothing, nothing.clone())

    @property
    def slots(self) -> int:
        return self.filled.shape[1]

    def tags(self, queries: Tags) -> Tags:
        """The keys that the given rows will see: every slot filled before, and these rows themselves."""
        position = torch.arange(self.slots, device=self.filled.device).expand_as(self.filled)
        rows, slot = self._address(queries.position, queries.live)
        live = torch.nn.functional.pad(self.filled, (0, 1))
        live[rows, slot] = True
        return Tags(position, live=live[:, :-1])

    def mark(self, queries: Tags) -> None:
        """Note that the given rows were written."""
        self.filled.copy_(self.tags(queries).live)

    def write(
        self,
        layer: int,
        queries: Tags,
        keys: Float[Tensor, "R G L d"],
        values: Float[Tensor, "R G L d"],
    ) -> tuple[Float[Tensor, "R G S d"], Float[Tensor, "R G S d"]]:
        """Store one layer's rows at their positions; returns views of all slots."""
        rows, slot = self._address(queries.position, queries.live)
        self.keys[layer][rows, :, slot] = keys.transpose(1, 2)
        self.values[layer][rows, :, slot] = values.transpose(1, 2)
        return self.keys[layer, :, :, :-1], self.values[layer, :, :, :-1]

    def _address(
        self, position: Int[Tensor, "R L"], live: Bool[Tensor, "R L"] | None
    ) -> tuple[Int[Tensor, "R 1"], Int[Tensor, "R L"]]:
        rows = torch.arange(position.shape[0], device=position.device)[:, None]
        return rows, position if live is None else torch.where(live, position, self.slots)

    def __getitem__(self, requests: Int[Tensor, " r"] | Bool[Tensor, " R"]) -> "KV":
        """The given requests alone, as a copy."""
        return KV(self.keys[:, requests], self.values[:, requests], self.filled[requests], self.clean[requests])

    def join(self, other: "KV") -> "KV":
        """Requests of both, with the same number of slots."""
        return KV(
            torch.cat((self.keys, other.keys), dim=1),
            torch.cat((self.values, other.values), dim=1),
            torch.cat((self.filled, other.filled)),
            torch.cat((self.clean, other.clean)),
        )

    def forget(self, where: Bool[Tensor, "R S"]) -> "KV":
        """The same memory with some slots no longer filled."""
        return replace(self, filled=self.filled & ~where, clean=self.clean & ~where)
