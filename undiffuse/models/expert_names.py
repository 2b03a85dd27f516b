"""Names of the tensors of experts: one set for each expert, as most are published, or one for all."""

from collections.abc import Collection

from .parts import Concatenated, Copied, Part, Stacks
from .transformer import TransformerConfig

STACKED = "experts.gate_proj"
"""How a tensor ends that holds the gates of all experts of a layer."""


def experts_of(own: str, theirs: str, count: int, inner: int, width: int, stacked: bool) -> list[Part]:
    """The matrices of `count` experts of a layer."""
    up, down = f"{own}.up.weight", f"{own}.down.weight"
    if stacked:
        gated = (f"{theirs}.experts.gate_proj", f"{theirs}.experts.up_proj")
        return [Stacks(up, gated, count), Stacks(down, (f"{theirs}.experts.down_proj",), count)]
    each = [f"{theirs}.experts.{number}" for number in range(count)]
    gates = tuple(f"{name}.{x}_proj.weight" for name in each for x in ("gate", "up"))
    downs = tuple(f"{name}.down_proj.weight" for name in each)
    return [Concatenated(up, gates, (inner,) * 2 * count), Concatenated(down, downs, (width,) * count)]


def gated(own: str, theirs: str, inner: int) -> list[Part]:
    """The matrices of a dense layer, or of the expert that all rows run."""
    names = (f"{theirs}.gate_proj.weight", f"{theirs}.up_proj.weight")
    return [
        Concatenated(f"{own}.up.weight", names, (inner,) * 2),
        Copied(f"{own}.down.weight", f"{theirs}.down_proj.weight"),
    ]


def are_stacked(tensors: Collection[str]) -> bool:
    """Whether the experts of these tensors are stacked."""
    return any(name.endswith(STACKED) for name in tensors)


def layers_of_experts(network: TransformerConfig) -> range:
    """Layers that are not dense."""
    return range(network.dense_layers, network.depth)
