"""Nobody asks a process for its class, and a class that others build on is abstract."""

import importlib
import inspect
import re
from abc import ABC
from pathlib import Path
from typing import Protocol

import undiffuse

ROOT = Path(undiffuse.__file__).parent
ASKS = re.compile(r"(isinstance|issubclass|type|hasattr|getattr)\(([a-z_.]+\.)?process\b(?!\.(schedule|gamma))")


def files() -> list[Path]:
    return [path for path in ROOT.rglob("*.py") if path.name not in ("__init__.py", "__main__.py")]


def test_outside_process_and_exact_nobody_asks_a_process_for_its_class():
    asking = [
        f"{path}: {line.strip()}"
        for path in files()
        if path.relative_to(ROOT).parts[0] not in ("process", "exact")
        for line in path.read_text().splitlines()
        if ASKS.search(line)
    ]
    assert asking == []
    assert ASKS.search("if isinstance(predictor.process, Gaussian)")


def test_classes_that_others_build_on_are_abstract():
    found = set()
    for path in files():
        if path.relative_to(ROOT).parts[0] == "exact":
            continue
        module = importlib.import_module(".".join(("undiffuse", *path.relative_to(ROOT).with_suffix("").parts)))
        for name, cls in inspect.getmembers(module, inspect.isclass):
            found |= {f"{name} builds on {base.__name__}" for base in cls.__bases__ if not _open(base)}
    assert found == set()


def _open(base: type) -> bool:
    """Whether a class is none of ours, an error, or left open."""
    ours = base.__module__.startswith("undiffuse")
    return (
        not ours or issubclass(base, Exception) or inspect.isabstract(base) or bool({ABC, Protocol} & {*base.__bases__})
    )
