"""The bound's integrand over part of the mask ratios, and the search for the part.

With u = 1 − α, the share of masked tokens, the bound of a row or block is ∫₀¹ (1/u) g(u) du, where g(u) is the expected
cross-entropy of the masked tokens. Ratios near 0 and 1 add to the variance of the gradient more than to what is
learned, so training draws u ~ U[β, ω] and minimizes the mean of the integrand there (BD3-LM, Arriola et al. 2025,
section 5). That is no bound unless [β, ω] = [0, 1].

The search draws ratios from all of [0, 1] for held-out blocks and takes the interval within which their losses vary
least, of all those whose ends and width are multiples of 0.05 and whose width lies between 0.5 and 0.9.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..predictor import Predictor
from ..process.needs import Need, masks_by_time
from ..randomness import Draws
from ..types import Batch
from .bound import Bound
from .objective import Loss, Objective, summed
from .times.estimator import WHOLE, Estimator
from .times.shared_offset import SharedOffset

GRID = 20
"""Interval ends are multiples of 1/GRID."""
WIDTHS = range(10, 19)
"""Widths of intervals, in the same unit: 0.5 to 0.9."""
PASSES = 8
ROWS_AT_ONCE = 32


@dataclass(frozen=True)
class Clipped(Objective):
    """Masked cross-entropy over mask ratios between two ends, or "search": the ends at which it varies least (BD3-LM).

    A search repeats at every validation; until the first one all ratios are drawn.
    """

    clip: Literal["search"] | list[float] = "search"
    times: Estimator = field(default_factory=SharedOffset)

    head = "leave_one_out"
    needs = (
        Need(
            masks_by_time,
            "objective 'clipped' draws mask ratios: it needs masked noise with schedule 'one-minus-t'",
        ),
    )

    def __post_init__(self) -> None:
        if self.clip != "search" and not (len(self.clip) == 2 and 0 <= self.clip[0] < self.clip[1] <= 1):
            raise ValueError(f'clip must be "search" or two mask ratios such as [0.3, 0.8], not {self.clip}')

    @property
    def ends(self) -> tuple[float, float]:
        """The smallest and the largest mask ratio."""
        return WHOLE if isinstance(self.clip, str) else (self.clip[0], self.clip[1])

    @property
    def is_bound(self) -> bool:  # type: ignore[override]
        return self.clip != "search" and self.ends == WHOLE

    @property
    def search_passes(self) -> int:  # type: ignore[override]
        return PASSES if self.clip == "search" else 0

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        self.times.check(predictor)

    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        drawn = Bound(self.times).integrand(predictor, batch, draws, rows, self.ends)
        return summed(drawn.nats, drawn.sites, drawn.noised, batch.editable, batch)

    def tuned(self, predictor: Predictor, text: Batch, draws: Draws) -> "Clipped":
        if self.clip != "search":
            return self
        ratios, nats = self._losses(predictor, text, draws)
        variances = [nats[(low <= ratios) & (ratios <= high)].var().nan_to_num(torch.inf) for low, high in intervals()]
        return replace(self, clip=list(list(intervals())[int(torch.stack(variances).argmin())]))

    @torch.no_grad()
    def _losses(
        self, predictor: Predictor, text: Batch, draws: Draws
    ) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
        """Mask ratio of every row or block in every pass, and its loss in nats per token."""
        rows, found = len(text.ids), []
        for number in range(PASSES):
            for index in torch.arange(rows).split(ROWS_AT_ONCE):
                part = text.rows(index)
                part = part.at(slot=part.slot + number * rows, epoch=torch.full_like(part.epoch, number))
                drawn = Bound(self.times).integrand(predictor, part, draws, PASSES * rows)
                cells = self.times.cells(part, rows, predictor.traits.block_length)
                size, place = cells.sizes(part), drawn.noised.t.new_zeros(cells.slot.shape)
                nats = drawn.noised.t.new_zeros(part.ids.shape).masked_scatter(drawn.sites, drawn.nats.double())
                total = place.scatter_add(1, cells.of, nats)
                ratio = place.scatter_reduce(1, cells.of, drawn.noised.t, "amax")
                found.append(torch.stack((ratio[size > 0], (total / size.clamp(min=1))[size > 0])))
        ratios, losses = torch.cat(found, dim=1)
        return ratios, losses


def intervals() -> Iterator[tuple[float, float]]:
    """All ends that a search considers, the narrowest first."""
    for width in WIDTHS:
        for low in range(GRID - width + 1):
            yield low / GRID, (low + width) / GRID
