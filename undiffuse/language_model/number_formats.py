"""Number formats of weights: by their names, what each takes, and memory in it."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ..errors import UserError, did_you_mean
from ..models.base import Network
from ..models.int8 import Int8

NAMES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "float64": torch.float64,
    "int8": torch.int8,
}
"""int8 is of weights alone: matrices take a byte for each number, and everything is computed in `BESIDE`."""
BESIDE, WIDE = torch.bfloat16, torch.float32
SCALE = 4
"""Bytes of the scale of each row of a matrix in int8."""


def number_format(name: str | torch.dtype | None) -> torch.dtype | None:
    """The format of a name; UserError for what is none. Formats themselves pass, and so does None."""
    if isinstance(name, torch.dtype):
        name = str(name).removeprefix("torch.")
    if name is None:
        return None
    if not isinstance(name, str) or name not in NAMES:
        raise UserError(f"there is no number format {name!r} of weights{did_you_mean(str(name), NAMES)}")
    return NAMES[name]


def size_of(network: Network, dtype: torch.dtype) -> int:
    """Bytes that the weights of a network take; it may be one without memory."""
    return sum(sizes_of(network, dtype).values())


def sizes_of(network: Network, dtype: torch.dtype) -> dict[str, int]:
    """Bytes that each parameter takes."""
    narrow = network.narrowable if dtype == torch.int8 else frozenset()
    each = BESIDE.itemsize if dtype == torch.int8 else dtype.itemsize
    return {
        name: p.numel() + SCALE * math.prod(p.shape[:-1]) if name in narrow else p.numel() * each
        for name, p in network.named_parameters()
    }


def blank(network: Network, dtype: torch.dtype, devices: Mapping[str, torch.device]) -> Callable[[str, bool], Tensor]:
    """What makes memory for each parameter on its device, by its name and whether it is wide in any format.

    UserError for int8 anywhere but on a processor.
    """
    shapes = {name: tuple(p.shape) for name, p in network.state_dict().items()}
    narrow = network.narrowable if dtype == torch.int8 else frozenset()
    if dtype == torch.int8 and not narrow:
        raise UserError("this network does not compute with weights in int8: use --dtype bfloat16")
    other = next((device for device in devices.values() if device.type != "cpu"), None)
    if narrow and other is not None:
        raise UserError(f"weights in int8 are for processors, and this is {other}: use --dtype bfloat16")
    beside = BESIDE if dtype == torch.int8 else dtype

    def made(name: str, wide: bool) -> Tensor:
        if name in narrow and not wide:
            return Int8.empty(shapes[name], BESIDE)
        dtype = torch.promote_types(beside, WIDE) if wide else beside
        return torch.empty(shapes[name], dtype=dtype, device=devices[name])

    return made
