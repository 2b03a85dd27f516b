"""Devices that are not there: tensors that say they lie on one, refuse to meet others, and compute on the processor.

`meta:1` and `meta:2` are names that torch knows and has no memory behind.
"""

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map_only


class Elsewhere(Tensor):
    """A tensor on a pretended device; `held` has its numbers."""

    held: Tensor

    @staticmethod
    def __new__(cls, held, device):
        made = Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            dtype=held.dtype,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            device=device,
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if function is torch.ops.aten.copy_.default:  # the one that may cross
            args[0].held.copy_(args[1].held if isinstance(args[1], cls) else args[1])
            return args[0]
        given = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, Tensor)]
        devices = {value.device for value in given if value.ndim or isinstance(value, cls)}
        if len(devices) > 1:
            raise RuntimeError(f"{function} of tensors on {' and '.join(sorted(map(str, devices)))}")
        if "device" in kwargs:
            kwargs["device"] = "cpu"
        args, kwargs = tree_map_only(cls, lambda value: value.held, (args, kwargs))
        before = {id(value.held): value for value in given if isinstance(value, cls)}  # what is changed in place
        device = devices.pop()
        found = function(*args, **kwargs)
        return tree_map_only(
            Tensor, lambda value: before[id(value)] if id(value) in before else cls(value, device), found
        )


class Pretended(TorchFunctionMode):
    """Makes and moves tensors on pretended devices; `moves` are what went where: shape, type, from, to."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[tuple[tuple[int, ...], torch.dtype, str, str]] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(function, "__name__", "")
        moved = name == "to" and len(args) == 2 and isinstance(args[1], str | torch.device)
        asked = args[1] if moved else kwargs.get("device")
        if moved and torch.device(asked) != args[0].device:
            device = torch.device(asked)
            self.moves.append((tuple(args[0].shape), args[0].dtype, str(args[0].device), str(device)))
            held = (args[0].held if isinstance(args[0], Elsewhere) else args[0]).clone()
            return Elsewhere(held, device) if device.index else held
        if function is torch.where and isinstance(args[0], Elsewhere):  # torch would make a number a tensor of nothing
            args = [v if isinstance(v, Tensor) else Elsewhere(torch.tensor(v), args[0].device) for v in args]
        if moved or asked is None or not torch.device(asked).index:
            return function(*args, **kwargs)
        if name == "new_zeros" and isinstance(args[0], Elsewhere):
            args = (args[0].held, *args[1:])
        return Elsewhere(function(*args, **{**kwargs, "device": "cpu"}), torch.device(asked))
