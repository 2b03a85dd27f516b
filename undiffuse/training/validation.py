"""The bound of the held-out text under the averaged weights, on the same draws every time."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..data.packing import Dataset
from ..language_model.results import Score
from ..likelihood.bound import bound
from ..objective.objective import Objective
from ..predictor import Predictor
from ..randomness import Draws
from ..types import Batch
from .sharding import put, whole

PART_DRAWS = 2
"""Enough for a curve: the noise is the same at each of its points."""


@dataclass(frozen=True, eq=False)
class Validation:
    """`predictor` has a network of its own, which takes the averaged weights; `windows`, `draws`: see the settings."""

    predictor: Predictor
    network: nn.Module
    held_out: Dataset
    windows: int
    draws: int
    seed: int
    device: torch.device

    def part(self, weights: Mapping[str, Tensor]) -> Score:
        """On `windows` windows, spread evenly over the text, with few draws: the same ones throughout a run."""
        text, sizes = self._text()
        chosen = self._chosen(text)
        return self._score(weights, self._part(text, chosen), sizes[chosen], PART_DRAWS)

    def whole(self, weights: Mapping[str, Tensor]) -> Score:
        """On all of the held-out text."""
        return self._score(weights, *self._text(), self.draws)

    def of(self, predictor: Predictor) -> Score:
        """Of another network, on all of the held-out text and the same draws."""
        text, sizes = self._text()
        return Score(bound(predictor, text.to(self.device), draws=self.draws, seed=self.seed), int(sizes.sum()))

    def tuned(self, objective: Objective, weights: Mapping[str, Tensor]) -> Objective:
        """The objective with what it chooses by its losses on the same windows."""
        if not objective.search_passes:
            return objective
        take(self.network, weights)
        text = self._text()[0]
        part = self._part(text, self._chosen(text)).to(self.device)
        return objective.tuned(self.predictor, part, Draws.seeded(self.seed, self.device).stream("objective"))

    def _chosen(self, text: Batch) -> Tensor:
        count = min(self.windows, len(text.ids))
        return torch.arange(count) * len(text.ids) // count

    def _part(self, text: Batch, chosen: Tensor) -> Batch:
        return text.rows(chosen).at(slot=torch.arange(len(chosen)))

    def _text(self) -> tuple[Batch, Tensor]:
        return next(self.held_out.consecutive(self.held_out.rows + 1))

    def _score(self, weights: Mapping[str, Tensor], text: Batch, sizes: Tensor, draws: int) -> Score:
        take(self.network, weights)
        return Score(bound(self.predictor, text.to(self.device), draws=draws, seed=self.seed), int(sizes.sum()))


@torch.no_grad()
def take(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copies named float32 weights into a network of any precision; parameters that are not among them stay.

    Either may be spread over devices.
    """
    for name, parameter in network.named_parameters():
        if name in weights:
            put(parameter, whole(weights[name]))
