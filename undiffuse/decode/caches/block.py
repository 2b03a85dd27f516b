"""The exact cache of networks in which nobody sees what comes later: of block diffusion, and of causal ones."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from ...errors import UserError
from ...models.kept import Kept
from ...models.kv import KV
from ...predictor import Predictor
from ..canvas import Canvas
from .cache import CachePolicy, window_start


@dataclass(frozen=True)
class Block(CachePolicy):
    """Runs the present block, and finished blocks whose final tokens were not run yet; never what comes later.

    So the prompt is run together with the first step, and a finished block together with the first step of the next:
    there are no passes of their own for either. In a causal network every position is a block: a step runs one row.
    """

    exact = True

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        if predictor.traits.block_length is None and not predictor.traits.one_sided:
            raise UserError(
                "cache 'block' needs a network trained by block diffusion, or a causal one: under full attention every "
                "decided token changes all keys; use cache 'prefix' or 'dual', which approximate"
            )

    def recompute(self, canvas: Canvas, kv: Kept | None) -> Bool[Tensor, "R L"]:
        assert isinstance(kv, KV)
        block = canvas.blocks
        present = block.gather(1, window_start(canvas))
        unsaved = canvas.finished_blocks & ~kv.clean
        blocks = (block == present) | ((block < present) & unsaved)
        settled = (canvas.pending.cumsum(-1) == 0) & ~kv.filled  # the row that speaks of a site is run besides
        return canvas.valid & torch.where((canvas.span > 0)[:, None], blocks, settled)
