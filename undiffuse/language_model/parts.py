"""How a long text is cut into parts of the trained context, and what each may spend."""

from dataclasses import dataclass, replace

import torch

from ..decode.canvas import spread
from ..decode.decoder import Limits
from ..errors import UserError
from .settings import Settings


@dataclass(frozen=True)
class Part:
    """`size` new tokens after the last `visible` tokens of the text so far, in `windows` windows."""

    visible: int
    size: int
    windows: int

    @property
    def length(self) -> int:
        """Positions of its canvas."""
        return self.visible + self.size


def parts_of(prefix: int, length: int, context: int, span: int | None, block_length: int | None) -> list[Part]:
    """All that fits at once, else half a context at a time after as much as is visible; on bounds of blocks."""
    grid, half = span or 1, max(context // 2, 1)
    hop = half // grid * grid or half
    parts: list[Part] = []
    while (done := sum(part.size for part in parts)) < length:
        before = prefix + done
        size = min(length - done, hop if parts else max(context - prefix, hop))
        room = context - size
        visible = before if before <= room else room // grid * grid or room
        parts.append(Part(visible, size, _windows(visible, size, span, block_length)))
    return parts


def _windows(visible: int, size: int, span: int | None, block_length: int | None) -> int:
    if span is not None:
        tile = block_length or span
        return -(-(visible + size) // tile) - visible // tile
    return 1 if block_length is None else -(-size // block_length)


def steps_of(parts: list[Part], settings: Settings, span: int | None) -> list[int | None]:
    """The planned steps of each part: one for each window, the rest in proportion to size. UserError if too few."""
    if settings.steps is None:
        return [None] * len(parts)
    if settings.limited:
        return [limits.max_nfe for limits in limits_of(parts, settings)]
    windows, tokens = sum(part.windows for part in parts), sum(part.size for part in parts)
    if settings.steps < windows:
        tile = settings.block_length or span
        blocks = f"{windows} blocks of {min(tile, tokens)} tokens" if tile else f"{windows} parts of the context"
        raise UserError(
            f"{settings.steps} steps cannot fill {blocks}: use at least {windows} steps, or "
            + (
                "a shorter length"
                if tile is None or tile == span
                else f"blocks of at least {-(-tokens // settings.steps)} tokens"
            )
        )
    shares = _shared(settings.steps - windows + len(parts), parts)
    return [part.windows - 1 + share for part, share in zip(parts, shares, strict=True)]


def limits_of(parts: list[Part], settings: Settings) -> list[Limits]:
    """The limit on evaluations shared out; the deadline is that of the last part."""
    limits = settings.limits
    if limits.max_nfe is None:
        return [limits] * len(parts)
    if limits.max_nfe < len(parts):
        raise UserError(
            f"{limits.max_nfe} evaluations cannot complete {len(parts)} parts of the context: use --max-nfe "
            f"{len(parts)} at least, or a shorter length"
        )
    return [replace(limits, max_nfe=share) for share in _shared(limits.max_nfe, parts)]


def _shared(count: int, parts: list[Part]) -> list[int]:
    return [int(share) for share in spread(count, torch.tensor([part.size for part in parts]))]
