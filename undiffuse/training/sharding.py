"""Tensors that may be spread over devices (DTensor, as FSDP2 makes them), and their whole content."""

import sys
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def is_spread(tensor: Tensor) -> bool:
    """Whether devices hold a part each. Where nobody has imported DTensor (0.7 s), none is one."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(tensor, module.DTensor)


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, on this device; the devices that hold its parts must ask together."""
    return tensor.full_tensor() if is_spread(tensor) else tensor


def local(tensor: Tensor) -> Tensor:
    """The part on this device, which elementwise operations can change in place."""
    return tensor.to_local() if is_spread(tensor) else tensor


def norm(tensors: Sequence[Tensor]) -> Float[Tensor, ""]:
    """The norm of all of them together, added in float32."""
    return torch.stack([whole(tensor.norm(dtype=torch.float32)) for tensor in tensors]).norm()


@torch.no_grad()
def put(into: Tensor, content: Tensor) -> None:
    """Copies a whole tensor into one that may be spread."""
    if is_spread(into):
        from torch.distributed.tensor import distribute_tensor

        content = distribute_tensor(content.to(into.device), into.device_mesh, into.placements)
    into.copy_(content)
