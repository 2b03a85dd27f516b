"""`undiffuse about`: what a bug report needs to know of this installation and this machine."""

import os
import platform
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from .options import Json

STEERING = ("ATEN_", "CUBLAS_", "CUDA_VISIBLE_", "DNNL_", "GOMP_", "MKL_", "OMP_", "ONEDNN_", "OPENBLAS_", "PYTORCH_")
"""Beginnings of the names of environment variables that change how numbers are computed."""


def about(json: Json = False) -> None:
    """Print versions, devices and kernels: what a bug report needs.

    Nothing is printed that names you, your files or your network. Please put the output into every bug report.
    """
    from .console import print_json, print_text

    found = facts()
    if json:
        print_json(found)
        return
    lines = [line for name, value in found.items() for line in _lines(name, value)]
    width = max(len(name) for name, _ in lines)
    print_text("\n".join(f"{name:<{width}}  {value}" for name, value in lines))


def facts() -> dict[str, Any]:
    """Versions of packages, extras with what they lack, the machine, devices, threads and kernels."""
    import numpy
    import torch

    needed = list(_needed())
    blas = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "undiffuse": version("undiffuse"),
        "python": platform.python_version(),
        "packages": {name: _version(name) or "missing" for name, extra in needed if extra is None},
        "extras": {
            extra: {name: _version(name) or "missing" for name, of in needed if of == extra}
            for extra in dict.fromkeys(extra for _, extra in needed if extra not in (None, "dev"))
        },
        "machine": {"platform": platform.platform(), "processor": _processor()},
        "threads": {
            "cores": os.cpu_count(),
            "cores for this process": _allowed(),
            "torch": torch.get_num_threads(),
            "torch, between operators": torch.get_num_interop_threads(),
        },
        "devices": _devices(),
        "kernels": {
            "vector instructions": torch.backends.cpu.get_cpu_capability(),
            "BLAS of torch": "MKL" if torch.backends.mkl.is_available() else "not MKL",
            "oneDNN": torch.backends.mkldnn.is_available(),
            "BLAS of numpy": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        },
        "environment": {
            name: value
            for name, value in sorted(os.environ.items())
            if name.startswith(STEERING) and os.sep not in value  # a path may name its owner
        },
    }


def _lines(name: str, value: object) -> Iterator[tuple[str, str]]:
    """A line for each fact; a group of them is led by its name."""
    if not isinstance(value, Mapping):
        yield name, str(value)
    elif all(isinstance(held, str) for held in value.values()) and name not in ("machine", "kernels", "devices"):
        yield name, ", ".join(f"{key} {held}" for key, held in value.items()) or "nothing"
    else:
        for key, held in value.items():
            yield from _lines(f"{name}, {key}", held)


def _needed() -> Iterator[tuple[str, str | None]]:
    """Packages that this one asks for, each with its extra."""
    for line in requires("undiffuse") or ():
        name, extra = re.match(r"[\w.-]+", line), re.search(r"""extra\s*==\s*["']([\w-]+)["']""", line)
        if name is not None and name[0] != "undiffuse":
            yield name[0], extra[1] if extra else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's own name where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


def _allowed() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _devices() -> dict[str, str]:
    import torch

    found = {"cpu": "always"}
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        found[f"cuda:{number}"] = f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB"
    if torch.version.cuda:
        found["cuda, built for"] = torch.version.cuda
    if torch.backends.mps.is_available():
        found["mps"] = "available"
    return found
