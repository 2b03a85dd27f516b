"""What a decoding costs in work: passes, rows and head rows, counted by hooks in the network, and FLOPs from them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from undiffuse.models.transformer import Transformer, TransformerConfig

FLOPS = (
    "FLOPs: 2 per hidden weight and row, 4·D per layer for every row and every position it may see (those of the whole "
    "canvas, also under a cache), and 2·D·V per row of the head. Those of normalizations and softmaxes are not counted."
)


@dataclass
class Count:
    """Passes through the trunk, rows in them (the mean over layers), and rows that the head turned into logits."""

    passes: int = 0
    rows: float = 0
    read: int = 0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.passes + other.passes, self.rows + other.rows, self.read + other.read)

    def flops(self, network: TransformerConfig, length: int) -> float:
        """Of what was counted, on canvases of `length` positions; see FLOPS."""
        hidden = sum(weight.numel() for weight, _ in Transformer(network).matrices)
        attention = 4 * length * network.width * network.depth
        return self.rows * (2 * hidden + attention) + 2 * self.read * network.width * network.rows


@contextmanager
def around(network: Transformer, name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    """A method of this network in another one's place while it is open; of several the last to come goes first."""
    before = vars(network).get(name)
    setattr(network, name, wrap(getattr(network, name)))
    try:
        yield
    finally:
        if before is None:
            delattr(network, name)
        else:
            setattr(network, name, before)


@contextmanager
def counted(network: Transformer) -> Iterator[Count]:
    """Counts while it is open, by hooks on the embedding and on every feed-forward layer, and around the head."""
    count = Count()

    def embedded(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        count.passes += 1

    def worked(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        count.rows += output.shape[:-1].numel() / len(network.blocks)

    def reading(head: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def read(hidden: Tensor) -> Tensor:
            count.read += hidden.shape[:-1].numel()
            return head(hidden)

        return read

    hooks = [network.embedding.register_forward_hook(embedded)]
    hooks += [block.feed_forward.register_forward_hook(worked) for block in network.blocks]
    try:
        with around(network, "head", reading):
            yield count
    finally:
        for hook in hooks:
            hook.remove()


@dataclass
class Stopwatch:
    """Seconds inside the network."""

    seconds: float = 0.0


@contextmanager
def timed(network: Transformer) -> Iterator[Stopwatch]:
    """Adds up the time of trunk and head while it is open."""
    watch = Stopwatch()

    def timing(part: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            result = part(*arguments, **named)
            watch.seconds += time.perf_counter() - began
            return result

        return call

    with around(network, "trunk", timing), around(network, "head", timing):
        yield watch


def parameters(network: Transformer) -> int:
    return sum(weight.numel() for weight in network.parameters())
