"""What a cache policy is: which rows of the trunk to run now, given which keys and values are there."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool
from torch import Tensor

from ...errors import UserError
from ...models.kept import Kept
from ...predictor import Predictor
from ..canvas import Canvas


@dataclass(frozen=True)
class CachePolicy(ABC):
    """`exact` policies give the logits of a forward pass over everything; the others approximate them."""

    exact: ClassVar[bool]

    def check(self, predictor: Predictor) -> None:
        """Raise UserError when this cache has no meaning for the network."""
        if "keys" not in predictor.traits.keeps:
            raise UserError("this network keeps no keys and values; use cache 'none'")

    def settle(self, predictor: Predictor, canvas: Canvas) -> "CachePolicy":
        """The policy to use for these texts; only `auto` does not know before."""
        return self

    def memory(self, predictor: Predictor, canvas: Canvas, requests: int, shadows: bool) -> Kept | None:
        """An empty memory for so many requests (more than the canvas has, under guidance)."""
        return predictor.denoiser.memory(requests, canvas.ids.shape[1], shadows)

    @abstractmethod
    def recompute(self, canvas: Canvas, kv: Kept | None) -> Bool[Tensor, "R L"]:
        """Positions whose rows go through the trunk in this step."""


def stale(canvas: Canvas, kv: Kept) -> Bool[Tensor, "R 1"]:
    """Requests whose memory was not refreshed since they entered their present window."""
    return (kv.stamp != canvas.current)[:, None]


def window_start(canvas: Canvas) -> Tensor:
    """First editable position of each request's window, (R, 1)."""
    return canvas.window.long().argmax(-1, keepdim=True)


def refuse_blocks(predictor: Predictor, name: str) -> None:
    if predictor.traits.block_length is not None:
        raise UserError(
            f"cache {name!r} approximates full attention, and this network has an exact one: use cache 'block'"
        )
