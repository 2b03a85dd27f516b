"""`undiffuse list`: what exists, read from the tree."""

from typing import Annotated

import typer

from ..errors import UserError, did_you_mean
from .options import Device, Dtype, Threads


def catalogue(
    family: Annotated[
        str | None, typer.Argument(metavar="FAMILY", help="One family, such as strategies (default: all).")
    ] = None,
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = None,
) -> None:
    """List what exists: processes, strategies, models, recipes.

    A component's name is its `kind` in recipes and options.
    """
    from ..kinds import FAMILIES, Family
    from .machine import prepare

    prepare(device, dtype, threads)
    by_plural = {_plural(name): found for name, found in FAMILIES.items()}
    if family is not None:
        wanted = family if family in by_plural else _plural(family)
        if wanted not in by_plural:
            raise UserError(f"there is no family {family!r}{did_you_mean(family, by_plural)}")
        by_plural = {wanted: by_plural[wanted]}

    def lines(found: Family) -> list[str]:
        width = max((len(kind) for kind in found.kinds), default=0)
        return [f"  {kind:<{width}}  {found.summary(kind)}" for kind in found.kinds]

    print("\n\n".join("\n".join([f"{plural}:", *lines(found)]) for plural, found in by_plural.items()))


def _plural(name: str) -> str:
    if name.endswith("y"):
        return name[:-1] + "ies"
    if name.endswith("ss"):
        return name + "es"
    return name if name.endswith("s") else name + "s"
