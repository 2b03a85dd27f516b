"""The exact cache of block diffusion: finished blocks never change, and nobody before them sees them."""

from dataclasses import dataclass

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
    there are no passes of their own for either.
    """

    exact = True

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        if predictor.traits.block_length is None:
            raise UserError(
                "cache 'block' needs a network trained by block diffusion: under full attention every decided token "
                "changes all keys; use cache 'prefix' or 'dual', which approximate"
            )

    def recompute(self, canvas: Canvas, kv: Kept | None) -> Bool[Tensor, "R L"]:
        assert isinstance(kv, KV)
        block, present = canvas.positions // canvas.span[:, None], window_start(canvas) // canvas.span[:, None]
        unsaved = canvas.finished_blocks & ~kv.clean
        return canvas.valid & ((block == present) | ((block < present) & unsaved))
