"""What can be used by name on this computer, from headers alone, and what could be after one command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from .inspection import Inspection, inspect
from .named import DEFAULT, Found, Named, Source, every, runs


@dataclass(frozen=True)
class Listed:
    """A model with a name, and what is known of it.

    `source` is run, bundled or package. `parameters` counts them, `bytes` is what its files take on disk, `context` is
    in positions. `default` marks the one that is used where none is named. `fix` is the command that makes it usable,
    or what else is wrong with it, empty where nothing is; `summary` describes what is not installed.
    """

    name: str
    source: Source
    installed: bool
    family: str | None = None
    parameters: int | None = None
    bytes: int | None = None
    context: int | None = None
    where: str | None = None
    license: str | None = None
    default: bool = False
    summary: str = ""
    fix: str = ""

    def json(self) -> dict[str, Any]:
        return dict(vars(self))


def list_models() -> list[Listed]:
    """Every model with a name, in the order in which names count: runs (the newest first), bundled ones, packages'."""
    found: dict[str, Listed] = {}
    default = next((path.name for path in runs()), DEFAULT)
    for named in every():
        found.setdefault(named.name, _listed(named, named.name == default))
    return list(found.values())


def _listed(named: Named, default: bool) -> Listed:
    if named.place is None:
        if named.known is None:
            return Listed(named.name, named.source, False, fix="its package does not hold it where it says")
        summary = f"{named.known.summary}; {named.known.size}"
        return Listed(named.name, named.source, False, summary=summary, fix=named.known.command)
    size, where = _size(named.place), str(named.place)
    try:
        seen = inspect(Found(named.place, named.name))
    except UserError as error:  # what reads the file may be missing, or the file is damaged
        fix = (named.known.command if named.known else "") or str(error)
        return Listed(named.name, named.source, True, bytes=size, where=where, fix=fix)
    return Listed(
        named.name,
        named.source,
        True,
        family=seen.family,
        parameters=seen.parameters,
        bytes=size,
        context=seen.context,
        where=where,
        license=seen.license,
        default=default and seen.loads,
        fix=_wrong(seen),
    )


def _wrong(seen: Inspection) -> str:
    return "" if seen.loads else seen.doubts[0]


def _size(place: Path) -> int:
    """Bytes of the weights and of what lies beside them, not of checkpoints in folders below."""
    files = [place] if place.is_file() else [path for path in place.iterdir() if path.is_file()]
    return sum(path.stat().st_size for path in files)
