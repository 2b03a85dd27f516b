"""Keys and values of rows that begin alike: those of the beginning are kept once, whatever the number of rows."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..types import Tags
from .kv import KV


@dataclass(frozen=True, eq=False)
class Branches:
    """Row r has the first `shared[r]` positions of the `stem`, a memory of one request, and then its own.

    Position p ≥ shared[r] is slot p − shared[r] of the row's `own` memory. Rows may leave the stem at different places:
    what the stem holds of later positions they do not see. The stem is only read.
    """

    stem: KV
    own: KV
    shared: Int[Tensor, " R"]

    @classmethod
    def of(cls, stem: KV, own: KV, shared: Int[Tensor, " R"]) -> "Branches":
        """With as much of the stem as some row has: a view, in which one more slot stands at the end, as in any."""
        most = int(shared.max()) if len(shared) else 0
        keys, values = (tuple(held[:, :, :, : most + 1] for held in each) for each in (stem.keys, stem.values))
        return cls(
            replace(stem, keys=keys, values=values, filled=stem.filled[:, :most], clean=stem.clean[:, :most]),
            own,
            shared,
        )

    def on(self, device: torch.device) -> "Branches":
        """The same for layers on a device; what is kept is where it is."""
        return replace(self, own=self.own.on(device), shared=self.shared.to(device))

    def tags(self, queries: Tags) -> Tags:
        """The keys that the given rows will see: those of the stem, their own, and these rows themselves."""
        own = self.own.tags(self._moved(queries))
        place = torch.arange(self.stem.slots, device=self.shared.device).expand(len(self.shared), -1)
        before = (place < self.shared[:, None]) & self.stem.filled
        assert own.live is not None
        return Tags(
            torch.cat((place, own.position + self.shared[:, None]), dim=1), live=torch.cat((before, own.live), dim=1)
        )

    def write(
        self, layer: int, queries: Tags, keys: Float[Tensor, "R G L d"], values: Float[Tensor, "R G L d"]
    ) -> tuple[Float[Tensor, "R G S d"], Float[Tensor, "R G S d"]]:
        """Store one layer's rows at their positions; returns the stem's slots and then each row's own."""
        own = self.own.write(layer, self._moved(queries), keys, values)
        stem = self.stem.read(layer)
        k, v = (torch.cat((a.expand(len(b), -1, -1, -1), b), dim=2) for a, b in zip(stem, own, strict=True))
        return k, v

    def mark(self, queries: Tags) -> None:
        """Note that the given rows were written."""
        self.own.mark(self._moved(queries))

    def __getitem__(self, rows: Int[Tensor, " r"]) -> "Branches":
        """The given rows, of which one may be given several times: what they write from now on is a copy's."""
        return replace(self, own=self.own[rows], shared=self.shared[rows])

    def widened(self, slots: int) -> "Branches":
        """With room for so many positions after the stem."""
        return self if slots <= self.own.slots else replace(self, own=self.own.widened(slots))

    def join(self, other: "Branches") -> "Branches":
        """Rows of both, which have one stem and the same number of slots."""
        return replace(self, own=self.own.join(other.own), shared=torch.cat((self.shared, other.shared)))

    def _moved(self, queries: Tags) -> Tags:
        return replace(queries, position=queries.position - self.shared[:, None])
