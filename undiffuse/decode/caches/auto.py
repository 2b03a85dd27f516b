"""The cache that pays, by measurement."""

import time
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from ...errors import UserError
from ...models.kept import Kept
from ...predictor import Predictor
from ..canvas import Canvas
from ..passes import Sites, run
from .block import Block
from .cache import CachePolicy
from .dual import Dual
from .none import NoCache

GAIN = 0.8
"""An approximation is taken only where it needs at most this share of the time."""
REPEATS = 3


@dataclass(frozen=True)
class Auto(CachePolicy):
    """Takes 'block' where the network has it; else 'dual' if a measurement says that it saves a fifth, or none.

    One pass over everything and one over a window alone are timed on the texts at hand. The choice of an approximation
    depends on the machine: name the cache to repeat a result.
    """

    exact = False

    def settle(self, predictor: Predictor, canvas: Canvas) -> CachePolicy:
        if predictor.traits.block_length is not None:
            return Block()
        if "keys" not in predictor.traits.keeps or bool((canvas.window == canvas.valid).all()):
            return NoCache()
        everything, window = self._seconds(predictor, canvas)
        steps, windows = canvas.steps.sum(-1).double(), (canvas.steps > 0).sum(-1)
        cached = (everything * windows + window * (steps - windows)).sum().item()
        return Dual() if cached <= GAIN * everything * steps.sum().item() else NoCache()

    @torch.no_grad()
    def _seconds(self, predictor: Predictor, canvas: Canvas) -> tuple[float, float]:
        """Best time of a pass over everything, and of one over the present windows with the rest kept."""
        sites = Sites.of(canvas.window & canvas.pending)
        t = canvas.pending.double()
        kv = predictor.denoiser.memory(len(canvas.ids), canvas.ids.shape[1])
        taken: list[list[float]] = [[], []]
        for _ in range(REPEATS):
            for times, rows in zip(taken, (canvas.valid, canvas.window), strict=True):
                began = time.perf_counter()
                float(run(predictor, canvas, sites, t, rows, kv)[0].sum())  # the sum waits for the device
                times.append(time.perf_counter() - began)
        return min(taken[0]), min(taken[1])

    def check(self, predictor: Predictor) -> None:
        """Nothing to refuse: there is always a choice."""

    def recompute(self, canvas: Canvas, kv: Kept | None) -> Bool[Tensor, "R L"]:
        raise UserError("cache 'auto' must be settled on a network and texts first")
