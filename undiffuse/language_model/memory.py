"""Memory for weights: how much a device has left, and whether a model fits."""

import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from ..errors import UserError
from ..models.base import Network
from .number_formats import NAMES, size_of, sizes_of
from .spread import spread

NARROWER = ("bfloat16", "int8")
"""Formats that are proposed where a wider one does not fit."""


def require(
    network: Network, dtype: torch.dtype, devices: Sequence[torch.device], what: str
) -> tuple[torch.device, ...]:
    """The device of each layer: the first, if it has room for the weights of a network, or they are spread over all.

    UserError, with the arithmetic, if there is no room for them.
    """
    free = [math.inf if room is None else room for room in map(available, devices)]
    where = _plan(network, dtype, free)
    if where is not None:
        return tuple(devices[number] for number in where)
    numbers, needed = sum(p.numel() for p in network.parameters()), size_of(network, dtype)
    byte = bool(network.narrowable) and all(device.type == "cpu" for device in devices)
    formats = [name for name in NARROWER if name != "int8" or byte]
    fits = next((name for name in formats if _plan(network, NAMES[name], free) is not None), None)
    fix = "" if fits is None else f"load it with --dtype {fits} ({shown(size_of(network, NAMES[fits]))}), or "
    each = "a byte each and their scales" if dtype == torch.int8 else f"{dtype.itemsize} bytes"
    raise UserError(
        f"{what} does not fit: its {numbers:,} numbers of {each} ({str(dtype).removeprefix('torch.')}) are "
        f"{shown(needed)}, and {_room(devices, free, needed)}; {fix}use a machine with more memory"
    )


def _plan(network: Network, dtype: torch.dtype, free: Sequence[float]) -> tuple[int, ...] | None:
    """The number of the device of each layer."""
    layers: dict[int | None, int] = {None: 0}
    for name, size in sizes_of(network, dtype).items():
        layer = network.layer_of(name)
        layers[layer] = layers.get(layer, 0) + size
    return spread(layers.pop(None), [layers[number] for number in range(len(layers))], free)


def _room(devices: Sequence[torch.device], free: Sequence[float], needed: int) -> str:
    """What is free, and where."""
    if len(devices) == 1:
        return f"{shown(free[0])} of memory are free on {devices[0]}"
    each = " and ".join(f"{shown(room)} on {device}" for device, room in zip(devices, free, strict=True))
    whole = "" if needed > sum(free) else ", to which it cannot be dealt out by whole layers"
    return f"{shown(sum(free))} of memory are free, {each}{whole}"


def available(device: torch.device) -> int | None:
    """Bytes that can still be taken on a device, None where nothing says."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min(_of_the_machine(), default=None) if device.type == "cpu" else None


def shown(size: float) -> str:
    """Bytes in the largest unit of which there is one."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}" if size < 100 * unit else f"{size / unit:.0f} {name}"
    return f"{size / 2**10:.0f} KiB"


def _of_the_machine() -> Iterator[int]:
    """What is left by each account of main memory that the system keeps."""
    meminfo = _table(Path("/proc/meminfo"))
    if "MemAvailable:" in meminfo:
        yield meminfo["MemAvailable:"] * 1024
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    yield from _of_groups(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))


def _of_groups(listed: Path, root: Path) -> Iterator[int]:
    """What limits on this process's control groups leave, in both versions; file pages that can go count as free."""
    for line in listed.read_text().splitlines() if listed.is_file() else ():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            top, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        group = top / path.lstrip("/")
        for place in (group, *group.parents):
            limit, used = (_number(place / name) for name in names[:2])
            if limit is not None and used is not None:
                yield max(limit - used + _table(place / "memory.stat").get(names[2], 0), 0)
            if place == top:
                break


def _number(path: Path) -> int | None:
    """The number in a file; None where there is no such file, or no limit ("max")."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _table(path: Path) -> dict[str, int]:
    """First words of lines with the numbers after them."""
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}
