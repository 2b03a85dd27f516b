"""--device, --dtype and --threads, checked and turned into what torch takes."""

import os
from typing import TYPE_CHECKING

from ..device import device_of
from ..errors import UserError, did_you_mean

if TYPE_CHECKING:
    import torch

_DTYPES = ("float32", "bfloat16", "float16", "float64", "int8")


SPIN = ("GOMP_SPINCOUNT", "1000")
"""How often GNU OpenMP's idle threads look for work before they sleep; see docs/training.md."""


def spin_briefly() -> None:
    """Have idle threads leave a busy processor to others. Counts before torch is loaded, unless the user has a say."""
    if not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        os.environ[SPIN[0]] = SPIN[1]


def prepare(device: str | None, dtype: str | None, threads: int | None) -> "tuple[torch.device, torch.dtype | None]":
    """Set the number of threads; the device, and the number format, None where the user left the choice open."""
    set_threads(threads)
    return device_of(device), format_of(dtype)


def set_threads(count: int | None) -> None:
    if count is not None:
        import torch

        torch.set_num_threads(count)


def format_of(name: str | None) -> "torch.dtype | None":
    """The number format of a name; None for none. UserError where there is no such format."""
    if name is None:
        return None
    if name not in _DTYPES:
        raise UserError(f"--dtype {name}: there is no such number format{did_you_mean(name, _DTYPES)}")
    from ..language_model.number_formats import number_format

    return number_format(name)
