"""Where to compute: names of devices, checked against those that are there."""

from typing import TYPE_CHECKING

from .errors import UserError, did_you_mean

if TYPE_CHECKING:
    import torch

AUTO = "auto"


def device_of(name: "str | torch.device | None") -> "torch.device":
    """The device of a name, `auto` or None for the first GPU and else the processor. UserError where there is none.

    Apple's GPUs (mps) are refused: they have no float64, in which noise levels and probabilities are computed here.
    """
    import torch

    if isinstance(name, torch.device):
        name = str(name)
    name = AUTO if name is None else name
    if not isinstance(name, str):
        raise UserError(f"device must be a name such as 'cuda', not {name!r}")
    if "," in name:
        raise UserError(f"device {name}: only a model that is used is spread over several devices; name one")
    if name == AUTO:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind == "mps":
        raise UserError(f"device {name}: Apple's GPUs have no float64, which noise levels here need; use cpu")
    present = {"cpu": 1, "cuda": torch.cuda.device_count()}
    if kind not in present or (index and not index.isdecimal()):
        raise UserError(f"device {name}: there is no such device{did_you_mean(kind, (AUTO, *present))}")
    if int(index or 0) >= present[kind]:
        raise UserError(f"device {name}: this machine has {present[kind]} {kind} devices; use cpu")
    return torch.device(name)


def devices_of(name: "str | torch.device | None") -> "tuple[torch.device, ...]":
    """The devices of a model, in the order in which its layers are spread over them if the first has no room for all.

    One name, several with commas between them, or `auto` and None for all GPUs and else the processor. UserError for
    one that is not there, or named twice.
    """
    import torch

    if (name is None or (isinstance(name, str) and name == AUTO)) and torch.cuda.device_count() > 1:
        name = ",".join(f"cuda:{index}" for index in range(torch.cuda.device_count()))
    if not isinstance(name, str) or "," not in name:
        return (device_of(name),)
    found = []
    for one in name.split(","):
        device = device_of(one.strip())
        device = torch.device("cpu") if device.type == "cpu" else torch.device(device.type, device.index or 0)
        if device in found:
            raise UserError(f"device {name}: {device} is named twice")
        found.append(device)
    return tuple(found)
