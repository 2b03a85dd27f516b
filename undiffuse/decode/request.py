"""What one request is: a text to be denoised, how, and what may interrupt it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import UserError
from .canvas import Canvas
from .decoder import Decoder


@dataclass(frozen=True)
class Abort:
    """Leave now: the canvas stays as it is, with what is pending in it, and is marked as aborted."""


@dataclass(frozen=True)
class Remask:
    """Take decided tokens back: they are noise again, and pending. A request that was finished goes on."""

    positions: Sequence[int]


Verdict = Abort | Remask | None
Between = Callable[[Canvas], Verdict]
"""Asked after every step that a request took, with its canvas of one row: what is to become of it."""


@dataclass(frozen=True, eq=False)
class Request:
    """One text and all that belongs to it alone; `how` holds its strategy, cache, guidance, constraint and limits.

    The canvas and the constraint are of one row. Its clock runs from the moment it begins (`begin`), whatever the batch
    did before.
    """

    canvas: Canvas
    how: Decoder
    between: Between | None = None

    def __post_init__(self) -> None:
        if len(self.canvas.ids) != 1:
            raise UserError(f"a request is one text, not {len(self.canvas.ids)}: make one request of each row")
