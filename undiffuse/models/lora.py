"""Low-rank updates of matrices (LoRA, Hu et al. 2021): W + (α/r) B A beside a W that stays as it is.

Where one matrix holds several maps, queries with keys and values, or gate with value, each may have an A of its own, as
if they were several matrices, which they are in published layouts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UserError

A, B = "lora_a", "lora_b"
"""The parameters of an update, by their names in its module."""


@dataclass(frozen=True)
class LowRank:
    """Updates of `rank` r, scaled by `scale` = α/r, of matrices whose names match a pattern of `targets`.

    With `apart` every map in a matrix has an update of its own.
    """

    rank: int
    scale: float
    targets: tuple[str, ...] = ("blocks.*",)
    apart: bool = False

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise UserError(f"the rank of an update is 1 or more, not {self.rank}")
        if not math.isfinite(self.scale):
            raise UserError(f"the scale of an update is a finite number, not {self.scale}")

    def attach(self, network: nn.Module) -> None:
        """Puts updates beside the matrices, A drawn and B zero: the network computes what it did.

        UserError for a pattern that names no matrix.
        """
        for name, linear, heights in self.matrices(network):
            _put(network, name, Updated(linear, heights, self.rank, self.scale))

    @torch.no_grad()
    def merge(self, network: nn.Module) -> None:
        """Adds the updates to the matrices, in float32 whatever the format is, and takes them out again."""
        for name, module in updated(network):
            module.weight.copy_(module.weight.float() + module.update)
            _put(network, name, module.plain)

    def matrices(self, network: nn.Module) -> list[tuple[str, nn.Linear, tuple[int, ...]]]:
        """Name, module and heights of the maps in it, of every matrix that is updated."""
        stacked = {id(weight): heights for weight, heights in getattr(network, "matrices", ()) if self.apart}
        linears = [(name, m) for name, m in network.named_modules() if isinstance(m, nn.Linear)]
        for pattern in self.targets:
            if not any(fnmatchcase(name, pattern) for name, _ in linears):
                raise UserError(f"lora.targets: no matrix is called {pattern!r}; there are {_listed(linears)}")
        return [
            (name, linear, stacked.get(id(linear.weight), (linear.out_features,)))
            for name, linear in linears
            if any(fnmatchcase(name, pattern) for pattern in self.targets)
        ]


class Updated(nn.Linear):
    """A linear map with an update. Its weight and bias are those of the map that it takes the place of.

    `lora_a` (maps, r, in) and `lora_b` (out, r), whose rows belong to the maps in their order.
    """

    def __init__(self, linear: nn.Linear, heights: Sequence[int], rank: int, scale: float) -> None:
        with torch.device("meta"):
            super().__init__(linear.in_features, linear.out_features, bias=linear.bias is not None)
        self.weight, self.bias = linear.weight, linear.bias
        self.heights, self.scale = tuple(heights), scale
        device = linear.weight.device
        self.lora_a = nn.Parameter(torch.empty(len(self.heights), rank, linear.in_features, device=device))
        self.lora_b = nn.Parameter(torch.zeros(linear.out_features, rank, device=device))
        if device.type != "meta":
            bound = linear.in_features**-0.5
            nn.init.uniform_(self.lora_a, -bound, bound)

    def forward(self, x: Float[Tensor, "*lead I"]) -> Float[Tensor, "*lead O"]:
        maps, rank, _ = self.lora_a.shape
        inner = F.linear(x, self.lora_a.flatten(0, 1).to(x.dtype)).unflatten(-1, (maps, rank)).unbind(-2)
        parts = self.lora_b.to(x.dtype).split(self.heights)
        return super().forward(x) + self.scale * torch.cat(
            [F.linear(h, part) for h, part in zip(inner, parts, strict=True)], dim=-1
        )

    @property
    def update(self) -> Float[Tensor, "O I"]:
        """What is added to the weight, in float32."""
        parts = self.lora_b.float().split(self.heights)
        return self.scale * torch.cat([b @ a for a, b in zip(self.lora_a.float().unbind(), parts, strict=True)])

    @property
    def plain(self) -> nn.Linear:
        """The map without its update."""
        with torch.device("meta"):
            linear = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None)
        linear.weight, linear.bias = self.weight, self.bias
        return linear


def updated(network: nn.Module) -> list[tuple[str, Updated]]:
    """The maps that have an update, by their names."""
    return [(name, module) for name, module in network.named_modules() if isinstance(module, Updated)]


def is_update(name: str) -> bool:
    """Whether a parameter is one of an update, by its name."""
    return name.rpartition(".")[2] in (A, B)


def _put(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, module)


def _listed(linears: Sequence[tuple[str, nn.Linear]]) -> str:
    kinds = dict.fromkeys(".".join("*" if part.isdigit() else part for part in name.split(".")) for name, _ in linears)
    return ", ".join(kinds)
