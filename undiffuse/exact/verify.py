"""Checks every law on every component, by exact enumeration of worlds small enough for it."""

import fnmatch
import importlib
import pkgutil
from collections.abc import Collection, Iterator

from . import laws
from .law import Law, Result


def all_laws() -> tuple[Law, ...]:
    """Every law, in the order of the files in `laws/`: each holds a tuple `LAWS`."""
    modules = (
        importlib.import_module(f"{laws.__name__}.{found.name}") for found in pkgutil.iter_modules(laws.__path__)
    )
    return tuple(law for module in modules for law in module.LAWS)


def verify(pattern: str = "", without: Collection[str] = ()) -> Iterator[Result]:
    """Results as they are computed.

    `pattern` selects by a part of `LAW COMPONENT`, with `*` and `?` as in file names, case ignored; empty selects all.
    Laws whose names are in `without` are left out.
    """
    glob = f"*{pattern.lower()}*"
    for law in all_laws():
        if law.name in without:
            continue
        yield from law.check(lambda name, component: fnmatch.fnmatchcase(f"{name} {component}".lower(), glob))
