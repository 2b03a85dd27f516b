"""What a denoising loop tells its consumers: one event per step."""

from dataclasses import dataclass, fields

from jaxtyping import Bool, Int
from torch import Tensor

from .canvas import Canvas


@dataclass(frozen=True, eq=False)
class Event:
    """The canvas after one step, and what the step did; every field (R, L) unless said otherwise.

    `pending` positions are undecided. `committed` were decided in this step; `revised` held a decided token before this
    step that was changed or taken back. `editable` may be written at all (false: fixed text), `valid` exists (false:
    padding). `window` is what is decoded now. `nfe` (R,) counts the network evaluations of each request
    so far, `done` (R,) the requests that ended, `aborted` (R,) those that were ended as they were, with text pending.
    """

    step: int
    ids: Int[Tensor, "R L"]
    pending: Bool[Tensor, "R L"]
    committed: Bool[Tensor, "R L"]
    revised: Bool[Tensor, "R L"]
    editable: Bool[Tensor, "R L"]
    valid: Bool[Tensor, "R L"]
    window: Bool[Tensor, "R L"]
    nfe: Int[Tensor, " R"]
    done: Bool[Tensor, " R"]
    aborted: Bool[Tensor, " R"]

    @classmethod
    def of(cls, canvas: Canvas, committed: Bool[Tensor, "R L"], revised: Bool[Tensor, "R L"]) -> "Event":
        return cls(
            step=int(canvas.step.max()),
            ids=canvas.ids,
            pending=canvas.pending,
            committed=committed,
            revised=revised,
            editable=canvas.editable,
            valid=canvas.valid,
            window=canvas.window,
            nfe=canvas.nfe,
            done=canvas.done,
            aborted=canvas.aborted,
        )

    @property
    def written(self) -> "Event":
        """The same without the fixed text that every canvas begins with."""
        first = int(self.editable.any(0).long().argmax())
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        wide = {name for name, part in parts.items() if isinstance(part, Tensor) and part.ndim == 2}
        return Event(**{name: part[:, first:] if name in wide else part for name, part in parts.items()})
