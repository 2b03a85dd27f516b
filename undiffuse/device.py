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
