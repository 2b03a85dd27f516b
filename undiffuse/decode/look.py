"""One look at the canvas: gather the sites where logits are needed, run the network, read the head there."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..predictor import Predictor
from ..process.prediction import Prediction
from ..types import State
from .canvas import Canvas


@dataclass(frozen=True, eq=False)
class Sites:
    """Up to M positions per request, ascending; `live` is false where a request has fewer."""

    index: Int[Tensor, "R M"]
    live: Bool[Tensor, "R M"]

    @classmethod
    def of(cls, wanted: Bool[Tensor, "R L"]) -> "Sites":
        """The wanted positions of each row (the one host synchronization of a step: how many at most)."""
        size = int(wanted.sum(-1).max())
        index = (~wanted).byte().argsort(dim=-1, stable=True)[:, :size]
        return cls(index, wanted.gather(1, index))

    def gather(self, values: Tensor) -> Tensor:
        """Values (R, L, …) at the sites, (R, M, …)."""
        index = self.index.view(*self.index.shape, *[1] * (values.ndim - 2))
        return values.gather(1, index.expand(-1, -1, *values.shape[2:]))

    def scatter(self, values: Tensor, into: Tensor) -> Tensor:
        """`into` (R, L) with the values (R, M) at live sites."""
        kept = torch.where(self.live, values.to(into.dtype), into.gather(1, self.index))
        return into.scatter(1, self.index, kept)


def look(predictor: Predictor, canvas: Canvas, sites: Sites, t: Float[Tensor, "R L"]) -> Prediction:
    """A prediction at the sites (R, M) from one forward pass over the whole canvas."""
    state = State(canvas.ids)
    hidden = predictor.hidden(state, t, canvas.positions, canvas.editable, canvas.valid)
    return predictor.read(sites.gather(hidden), State(sites.gather(canvas.ids)), sites.gather(t))
