"""How tensors of a public checkpoint become parameters of the trunk: each record reads one way and writes the other.

A layout lists records that name every parameter once and every published tensor once. Heights are rows along the first
axis.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Shape = Sequence[int]


class Part(Protocol):
    """Some parameters and the published tensors that hold the same numbers."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names in the trunk."""
        ...

    @property
    def wide(self) -> bool:
        """Whether the parameters are float32 at least, whatever the others are."""
        ...

    @property
    def tensors(self) -> tuple[str, ...]:
        """Published names."""
        ...

    def shapes(self, parameters: Sequence[Shape]) -> Sequence[Shape]:
        """The shapes of the tensors, in their order, from those of the parameters."""
        ...

    def read(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """The parameters, in their order, from the tensors in theirs."""
        ...

    def write(self, parameters: Sequence[Tensor]) -> Sequence[Tensor]:
        """The inverse of `read`."""
        ...


@dataclass(frozen=True)
class Copied:
    """One parameter that is one tensor."""

    parameter: str
    tensor: str
    wide: bool = False

    @property
    def parameters(self) -> tuple[str, ...]:
        return (self.parameter,)

    @property
    def tensors(self) -> tuple[str, ...]:
        return (self.tensor,)

    def shapes(self, parameters: Sequence[Shape]) -> Sequence[Shape]:
        return parameters

    def read(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        return tensors

    def write(self, parameters: Sequence[Tensor]) -> Sequence[Tensor]:
        return parameters


@dataclass(frozen=True)
class Concatenated:
    """One parameter that holds several tensors, one below the other: queries, keys and values, or gate and value."""

    parameter: str
    tensors: tuple[str, ...]
    heights: tuple[int, ...]

    wide = False

    @property
    def parameters(self) -> tuple[str, ...]:
        return (self.parameter,)

    def shapes(self, parameters: Sequence[Shape]) -> Sequence[Shape]:
        return [(height, *parameters[0][1:]) for height in self.heights]

    def read(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        return (torch.cat(tuple(tensors)),)

    def write(self, parameters: Sequence[Tensor]) -> Sequence[Tensor]:
        return parameters[0].split(self.heights)


@dataclass(frozen=True)
class Split:
    """Several parameters that are published as one tensor, one below the other."""

    parameters: tuple[str, ...]
    tensor: str
    heights: tuple[int, ...]

    wide = False

    @property
    def tensors(self) -> tuple[str, ...]:
        return (self.tensor,)

    def shapes(self, parameters: Sequence[Shape]) -> Sequence[Shape]:
        return [(sum(self.heights), *parameters[0][1:])]

    def read(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        return tensors[0].split(self.heights)

    def write(self, parameters: Sequence[Tensor]) -> Sequence[Tensor]:
        return (torch.cat(tuple(parameters)),)


@dataclass(frozen=True)
class Stacked:
    """One parameter with an axis more than its tensors, which are of one shape: experts."""

    parameter: str
    tensors: tuple[str, ...]

    wide = False

    @property
    def parameters(self) -> tuple[str, ...]:
        return (self.parameter,)

    def shapes(self, parameters: Sequence[Shape]) -> Sequence[Shape]:
        return [parameters[0][1:]] * len(self.tensors)

    def read(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        return (torch.stack(tuple(tensors)),)

    def write(self, parameters: Sequence[Tensor]) -> Sequence[Tensor]:
        return parameters[0].unbind()


@dataclass(frozen=True)
class Stacks:
    """One parameter that holds `count` experts, one below the other, of each a part of every tensor (count, …)."""

    parameter: str
    tensors: tuple[str, ...]
    count: int

    wide = False

    @property
    def parameters(self) -> tuple[str, ...]:
        return (self.parameter,)

    def shapes(self, parameters: Sequence[Shape]) -> Sequence[Shape]:
        height, *rest = parameters[0]
        return [(self.count, height // (self.count * len(self.tensors)), *rest)] * len(self.tensors)

    def read(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        return (torch.stack(tuple(tensors), dim=1).flatten(0, 2),)

    def write(self, parameters: Sequence[Tensor]) -> Sequence[Tensor]:
        return parameters[0].unflatten(0, (self.count, len(self.tensors), -1)).unbind(1)
