"""What is said of a public checkpoint beside its files, because they leave it out or are wrong about it.

Several families are stored as others are: Open-dCoder's config is Qwen2's, of which it differs by its attention alone.
A directory that is saved again keeps what was said in its config.json, under `undiffuse`.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import UserError
from ..models.family import Shape
from ..models.transformer import TransformerConfig
from .arguments import flag, string, whole

KEY = "undiffuse"
"""Of a config.json: the family, attention and shift of what the same config would be read as otherwise."""


@dataclass(frozen=True)
class Overrides:
    """`family` by its name, the `mask_id`, `attention` as full, causal or block:N, and whether logits are shifted."""

    family: str | None = None
    mask_id: int | None = None
    attention: str | None = None
    shift: bool | None = None

    @classmethod
    def of(cls, family: object, mask_id: object, attention: object, shift: object) -> "Overrides":
        """From arguments of any type. UserError for one of the wrong type."""
        return cls(
            None if family is None else string("family", family),
            None if mask_id is None else whole("mask_id", mask_id, 0),
            None if attention is None else string("attention", attention),
            None if shift is None else flag("shift", shift),
        )

    def __bool__(self) -> bool:
        return self != Overrides()

    def over(self, config: Mapping[str, Any]) -> "Overrides":
        """These, and where they say nothing what a config says under `undiffuse`."""
        stored = config.get(KEY) or {}
        if not isinstance(stored, Mapping) or not stored.keys() <= asdict(self).keys():
            raise UserError(f"config.json: {KEY} must hold family, attention and shift, not {stored!r}")
        return Overrides(**{**stored, **{name: value for name, value in asdict(self).items() if value is not None}})

    @property
    def stored(self) -> dict[str, Any]:
        """What a config must say beside what its family writes; the mask id has a place of its own."""
        said = {"attention": self.attention, "shift": self.shift}
        return {name: value for name, value in said.items() if value is not None}

    def applied(self, shape: Shape) -> Shape:
        """A network with this attention and alignment; UserError for what cannot be."""
        if not isinstance(shape, TransformerConfig):
            if self.attention is not None or self.shift is not None:
                raise UserError("the attention of this family is its network's own: leave out attention and shift")
            return shape
        causal, block = shape.causal, shape.block_length
        if self.attention is not None:
            found = re.fullmatch(r"full|causal|block:([1-9]\d{0,6})", str(self.attention))
            if found is None:
                raise UserError(f"attention is full, causal or block:N (positions of a block), not {self.attention!r}")
            causal, block = found[0] == "causal", int(found[1]) if found[1] else None
        offset = shape.output_offset if self.shift is None else -int(self.shift)
        if causal and self.shift is None:
            offset = -1
        if causal and not offset:
            raise UserError("a causal network speaks of the next token, and shift=False says otherwise: leave it out")
        return replace(shape, causal=causal, block_length=block, output_offset=offset)


NOTHING = Overrides()
