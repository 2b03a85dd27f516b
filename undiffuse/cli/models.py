"""`undiffuse models`: what can be used by name."""

from typing import TYPE_CHECKING

from .options import Json

if TYPE_CHECKING:
    from ..language_model import Listed


def models(json: Json = False) -> None:
    """List the models that have a name, for --model: runs, what comes with undiffuse, and what packages bring.

    A path that exists wins over a name. Each is told with its family, parameters, context, size on disk, license and
    place, from headers alone. What is not installed is named with the command that installs it.
    """
    from ..language_model import list_models
    from .console import print_json, print_text

    listed = list_models()
    if json:
        print_json([each.json() for each in listed])
        return
    here = [each for each in listed if each.installed]
    if here:
        rows = [("name", "family", "parameters", "context", "on disk", "license", "where"), *map(_cells, here)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        print_text("\n".join(lines))
    for each in here:
        if each.fix:
            print_text(f"{each.name} cannot be used yet: {each.fix}")
    for each in listed:
        if not each.installed:
            about = f" ({each.summary})" if each.summary else ""
            print_text(f"{each.name} is not installed{about}: {each.fix}")


def _cells(each: "Listed") -> tuple[str, ...]:
    from ..language_model.memory import shown

    where = {"bundled": "comes with undiffuse"}.get(each.source, each.where or "")
    return (
        each.name,
        each.family or "–",
        "–" if each.parameters is None else f"{each.parameters:,}",
        "–" if each.context is None else f"{each.context:,}",
        "–" if each.bytes is None else shown(each.bytes),
        each.license or "–",
        f"{where} (used where none is named)" if each.default else where,
    )
