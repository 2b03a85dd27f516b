"""Memory for weights: how much a device has left, and whether a model fits."""

import os
from collections.abc import Iterator
from pathlib import Path

import torch

from ..errors import UserError
from ..models.base import Network
from .number_formats import NAMES, size_of

NARROWER = ("bfloat16", "int8")
"""Formats that are proposed where a wider one does not fit."""


def require(network: Network, dtype: torch.dtype, device: torch.device, what: str) -> None:
    """UserError, with the arithmetic, if the weights of a network are more than the device has room for."""
    free, needed = available(device), size_of(network, dtype)
    if free is None or needed <= free:
        return
    numbers = sum(p.numel() for p in network.parameters())
    sizes = {
        name: size_of(network, NAMES[name])
        for name in NARROWER
        if name != "int8" or (device.type == "cpu" and network.narrowable)
    }
    fits = next((name for name, size in sizes.items() if size <= free), None)
    fix = "" if fits is None else f"load it with --dtype {fits} ({shown(sizes[fits])}), or "
    each = "a byte each and their scales" if dtype == torch.int8 else f"{dtype.itemsize} bytes"
    raise UserError(
        f"{what} does not fit: its {numbers:,} numbers of {each} ({str(dtype).removeprefix('torch.')}) are "
        f"{shown(needed)}, and {shown(free)} of memory are free on {device}; {fix}use a machine with more memory"
    )


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
