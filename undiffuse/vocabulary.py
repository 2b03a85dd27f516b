"""Which rows of a network's table are real tokens and which are control symbols. Plain Python, without torch."""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Vocabulary:
    """The rows of a token table and their roles.

    `rows` is V, the number of rows of the network's embedding and head, padding rows included. `mask`, `bos`, `eos`
    and `pad` may lie anywhere in the table, and may be absent. `reserved` are further rows that no text encodes to
    and no network may predict (role markers, padding of the table).

    Never predictable (excluded before normalization): mask, bos, reserved rows, and pad, unless it is eos or `pads`
    says that the network writes it after an end.
    """

    rows: int
    mask: int | None = None
    bos: int | None = None
    eos: int | None = None
    pad: int | None = None
    reserved: frozenset[int] = frozenset()
    pads: bool = False

    def __post_init__(self) -> None:
        for name in ("mask", "bos", "eos", "pad"):
            row = getattr(self, name)
            if row is not None and not 0 <= row < self.rows:
                raise ValueError(f"{name} id {row} lies outside the table of {self.rows} rows")
        if not self.predictable:
            raise ValueError(f"none of the {self.rows} rows is predictable")

    @cached_property
    def unpredictable(self) -> tuple[int, ...]:
        """Rows that are excluded from every distribution, ascending."""
        banned = {self.mask, self.bos, *self.reserved}
        if self.pad != self.eos and not self.pads:
            banned.add(self.pad)
        return tuple(sorted(row for row in banned if row is not None))

    @cached_property
    def predictable(self) -> tuple[int, ...]:
        """The K real tokens, ascending: what a network may predict and what uniform noise draws from."""
        banned = set(self.unpredictable)
        return tuple(row for row in range(self.rows) if row not in banned)

    @property
    def size(self) -> int:
        """K, the number of real tokens."""
        return len(self.predictable)
