"""Matrices of weights in eight bits: whole numbers from −127 to 127, and one scale for every row, an output channel.

    w ≈ scale · n,   scale = max |w| / 127 over the row,   n = round(w / scale),   so |w − scale · n| ≤ scale / 2.

Only weights are narrow: what is computed stays in the format that the matrix stands for. Whole numbers of this size are
exact in bfloat16, so a product rounds as one with weights in bfloat16 does; the scales multiply its result.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from torch.utils._pytree import tree_map_only

LARGEST = 127
PIECE = 1 << 21
"""Numbers of a matrix that are widened at once: more leave a processor's cache, fewer cost calls."""
FEW = 4
"""Rows up to which torch's own product with narrow weights is faster than widening them first."""
WHOLE_STEPS = 64
"""That product takes rows of weights in steps, and reads beyond a row that is no whole number of them."""


class Int8(Tensor):
    """A matrix, or several in one tensor, that takes a byte for each number; used as if it were of its `dtype`.

    `linear` and `embedding` work on the bytes, parts along the first axis are views, and `copy_` narrows what it is
    given. Anything else widens all of it first.
    """

    numbers: Int[Tensor, "*lead N K"]
    scales: Float[Tensor, "*lead N"]

    @staticmethod
    def __new__(cls, numbers: Tensor, scales: Tensor, dtype: torch.dtype) -> "Int8":
        return Tensor._make_wrapper_subclass(cls, numbers.shape, dtype=dtype, device=numbers.device)

    def __init__(self, numbers: Tensor, scales: Tensor, dtype: torch.dtype) -> None:
        self.numbers, self.scales = numbers, scales

    @classmethod
    def empty(cls, shape: Sequence[int], dtype: torch.dtype, device: torch.device | str = "cpu") -> "Int8":
        """To be filled by `copy_`."""
        numbers = torch.empty(tuple(shape), dtype=torch.int8, device=device)
        return cls(numbers, torch.empty(tuple(shape[:-1]), device=device), dtype)

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"Int8({list(self.shape)}, {self.dtype})"

    def wide(self) -> Tensor:
        """An ordinary tensor of the same numbers."""
        return (self.numbers * self.scales[..., None]).to(self.dtype)

    def narrow_from(self, source: Tensor) -> None:
        """Take the nearest numbers to those of `source`."""
        numbers, scales = self.numbers.flatten(0, -2), self.scales.flatten()
        rows = source.reshape(len(scales), -1)
        for begin in range(0, len(rows), step := max(PIECE // rows.shape[1], 1)):
            piece = rows[begin : begin + step].float()
            scale = piece.abs().amax(1) / LARGEST
            scale = torch.where(scale == 0, 1.0, scale)
            scales[begin : begin + step] = scale
            numbers[begin : begin + step] = (piece / scale[:, None]).round_()

    def _each(self, act: Callable[[Tensor], Any]) -> Any:
        """What an operation along the first axis makes of the numbers and of the scales, as one."""
        numbers, scales = act(self.numbers), act(self.scales)
        if isinstance(numbers, Tensor):
            return Int8(numbers, scales, self.dtype)
        return [Int8(n, s, self.dtype) for n, s in zip(numbers, scales, strict=True)]

    @classmethod
    def __torch_function__(
        cls, function: Callable, types: Sequence[type], args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in OWN:
            return OWN[function](*args, **kwargs)
        with torch._C.DisableTorchFunctionSubclass():  # what is made of it is no Int8 by itself
            return function(*args, **kwargs)

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: Sequence[type], args: tuple = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        first = args[0] if args else None
        if isinstance(first, Int8):
            if function in WHOLE or (function in ALONG and _along_first(first, function, args)):
                return first._each(lambda part: function(part, *args[1:], **kwargs))
            if function is torch.ops.aten.copy_.default:
                source = args[1]
                first.narrow_from(source.wide() if isinstance(source, Int8) else source)
                return first
            if function in MADE:  # in the form of, and nothing of its numbers
                return function(torch.empty(0, dtype=first.dtype, device=first.device), *args[1:], **kwargs)
        widened = tree_map_only(Int8, Int8.wide, (args, kwargs))
        return function(*widened[0], **widened[1])


def storage_of(tensor: Tensor) -> int:
    """Where the numbers of a tensor lie in memory: views of one tensor have the same."""
    held = tensor.numbers if isinstance(tensor, Int8) else tensor
    return held.untyped_storage().data_ptr()


def linear(
    x: Float[Tensor, "*lead K"], weight: Int8, bias: Float[Tensor, "N"] | None = None
) -> Float[Tensor, "*lead N"]:
    """x · wᵀ: the widened numbers piece by piece, or for few rows what torch has for narrow weights."""
    if not isinstance(weight, Int8) or isinstance(x, Int8):
        return F.linear(x, weight.wide() if isinstance(weight, Int8) else weight, bias)
    numbers, scales = weight.numbers, weight.scales
    rows = x.reshape(-1, x.shape[-1])
    if len(rows) <= FEW and _has_own_product(rows, numbers):
        made = torch._weight_int8pack_mm(rows, numbers, torch.ones_like(scales, dtype=x.dtype))
    else:
        step = max(PIECE // numbers.shape[1], 1)
        made = torch.cat([F.linear(rows, piece.to(x.dtype)) for piece in numbers.split(step)], dim=1)
    made = (made * scales).to(x.dtype).view(*x.shape[:-1], len(scales))
    return made if bias is None else made + bias


def _has_own_product(x: Tensor, numbers: Tensor) -> bool:
    fits = numbers.is_contiguous() and x.is_contiguous() and numbers.shape[1] % WHOLE_STEPS == 0
    return fits and x.dtype == torch.bfloat16 and x.device.type == "cpu"


def embedding(ids: Int[Tensor, "*lead"], weight: Int8, *_: object, **__: object) -> Float[Tensor, "*lead K"]:
    """Rows of the table."""
    return (weight.numbers[ids] * weight.scales[ids][..., None]).to(weight.dtype)


aten = torch.ops.aten
OWN: dict[Any, Callable] = {F.linear: linear, F.embedding: embedding}
WHOLE = {aten.detach.default, aten.alias.default, aten.clone.default}
ALONG = {aten.split.Tensor, aten.split_with_sizes.default, aten.slice.Tensor, aten.unbind.int, aten.select.int}
MADE = {aten.new_empty.default, aten.new_zeros.default, aten.new_ones.default, aten.new_full.default}


def _along_first(tensor: Int8, function: Any, args: tuple) -> bool:
    """Whether an operation takes parts along the first axis, which is not the last one."""
    at = 1 if function in (aten.slice.Tensor, aten.unbind.int, aten.select.int) else 2
    dim = args[at] if len(args) > at else 0
    least = 3 if function in (aten.unbind.int, aten.select.int) else 2
    return dim % tensor.ndim == 0 and tensor.ndim >= least
