"""Estimators of the bound: how noise levels are drawn for a batch, and what the draw makes of the bound's integrand.

A network with attention blocks predicts block after block, −ln p(x) = Σ_b −ln p(x^b | x^{<b}), and each term has a
bound of its own with its own noise level. One level shared by all blocks of a row is also unbiased, since the
expectation of a sum is the sum of expectations, but varies more (BD3-LM, Arriola et al. 2025, eq. 8 and section 4).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...predictor import Predictor
from ...process.needs import Need, require
from ...process.prediction import Prediction
from ...process.process import Process
from ...randomness import Draws
from ...types import Batch, Noised

WHOLE = (0.0, 1.0)
"""All noise levels."""


@dataclass(frozen=True, eq=False)
class Cells:
    """What has a noise level of its own: the rows of a batch, or every attention block of each of them; C per row.

    `of` is the cell of each position within its row. `slot` is the place of a cell among the `total` cells of the
    global batch; `index` and `epoch` name it, as they name rows.
    """

    of: Int[Tensor, "B L"]
    slot: Int[Tensor, "B C"]
    index: Int[Tensor, "B C"]
    epoch: Int[Tensor, "B 1"]
    total: int

    @classmethod
    def rows(cls, batch: Batch, rows: int) -> "Cells":
        """One cell per row."""
        return cls(
            torch.zeros_like(batch.positions), batch.slot[:, None], batch.index[:, None], batch.epoch[:, None], rows
        )

    @classmethod
    def blocks(cls, batch: Batch, rows: int, span: int) -> "Cells":
        """A cell for every `span` positions of a row, counted from position 0."""
        count = -(-batch.ids.shape[1] // span)
        cell = torch.arange(count, device=batch.ids.device)
        return cls(
            of=(batch.positions // span).clamp(0, count - 1),
            slot=batch.slot[:, None] * count + cell,
            index=batch.index[:, None] * count + cell,
            epoch=batch.epoch[:, None],
            total=rows * count,
        )

    def at(self, values: Tensor) -> Tensor:
        """Values (B, C) at every position, (B, L)."""
        return values.gather(1, self.of)

    def sizes(self, batch: Batch) -> Int[Tensor, "B C"]:
        """Editable tokens in each cell."""
        return torch.zeros_like(self.slot).scatter_add(1, self.of, batch.editable.long())


@dataclass(frozen=True)
class Estimator(ABC):
    """Draws are marginally uniform over noise levels; estimators differ in how those of one batch depend on each other.

    `draws_times`: what is drawn are times of the process, at which it corrupts; else a number of masks.
    `per` block: every attention block of a row has a level of its own (one per row where the network has no blocks);
    `per` row: the blocks of a row share one.
    """

    per: Literal["block", "row"] = "block"

    draws_times: ClassVar[bool] = True
    needs: ClassVar[tuple[Need, ...]] = ()

    @abstractmethod
    def quantiles(self, cells: Cells, draws: Draws) -> Float[Tensor, "B C"]:
        """One level in (0, 1) per cell."""

    def check(self, predictor: Predictor) -> None:
        """Raise UserError when this estimator has no meaning for the process or network."""
        require(self.needs, predictor.process)

    def cells(self, batch: Batch, rows: int, span: int | None) -> Cells:
        """`span`: positions of an attention block of the network; `rows`: those of the global batch."""
        if span is None or self.per == "row":
            return Cells.rows(batch, rows)
        return Cells.blocks(batch, rows, span)

    def levels(self, cells: Cells, draws: Draws, clip: tuple[float, float]) -> Float[Tensor, "B C"]:
        """One level per cell, uniform between the two ends of `clip`."""
        low, high = clip
        return low + (high - low) * self.quantiles(cells, draws.stream("times"))

    def noise(
        self,
        process: Process,
        batch: Batch,
        draws: Draws,
        rows: int,
        span: int | None = None,
        clip: tuple[float, float] = WHOLE,
    ) -> Noised:
        """Corrupt a batch: one time per cell (see `cells`), drawn from [0, 1] or from the part of it that is given."""
        cells = self.cells(batch, rows, span)
        t = cells.at(self.placed(process, self.levels(cells, draws, clip)))
        return process.corrupt(batch.ids, t, element_draws(batch, draws), batch.editable)

    def placed(self, process: Process, levels: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        """The times that the levels stand for."""
        return levels

    def integrand(self, process: Process, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        """Nats per position whose expectation, summed over positions, is the diffusion term of the bound."""
        return process.bound(prediction, noised)


def element_draws(batch: Batch, draws: Draws) -> Draws:
    """One key per token, from the sample's name, its epoch and the absolute position."""
    return draws.at(batch.index, batch.epoch)[:, None].at(batch.positions)
