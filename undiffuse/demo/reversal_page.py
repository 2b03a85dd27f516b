"""What the reversal curse comes to, as a table and a picture; and the table of the run that comes with this package."""

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from .contest_plot import OURS, THEIRS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LAST, BEFORE = "last", "earlier"
SAID = "as it was said"
CAPITALS = "capitals, the other way round"
COLOURS = {"diffusion": OURS, "twin": THEIRS}
Found = Sequence[Mapping[str, Any]]
"""Lines of a table, as a result file has them."""


def recorded() -> Mapping[str, Any]:
    """The recorded run of `undiffuse demo reversal`: its command, its machine, its result."""
    file = resources.files("undiffuse") / "demo" / "reversal.json"
    record: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return record


def print_table(console: Console, found: Found) -> None:
    """A row for each kind of question and place of the blank, with 95 % intervals (Wilson)."""
    table = Table(
        "asked",
        "the blank",
        "of",
        *(f"{by}, right" for by in COLOURS),
        box=None,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    for (kind, place), shares in by_question(found).items():
        table.add_row(kind, place, str(shares["twin"]["asked"]), *(told(shares[by]) for by in COLOURS))
    console.print(table)
    rows = max(line["evaluations"] for line in found if line["by"] == "twin")
    console.print(
        "The other way round, or in other words, is how these facts were not said. The twin reads from the left alone: "
        "it writes on to a blank that stands last, and tries what could stand in an earlier one with all that follows "
        f"({rows:,.0f} rows of its network).",
        style="dim",
    )


def by_question(found: Found) -> dict[tuple[str, str], dict[str, Mapping[str, Any]]]:
    """The lines of both models, by kind and place."""
    together: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for line in found:
        together.setdefault((line["kind"], line["blank"]), {})[line["by"]] = line
    return together


def told(line: Mapping[str, Any]) -> str:
    low, high = line["interval"]
    return f"{100 * line['share']:.0f} % ({100 * low:.0f} to {100 * high:.0f})"


def panel(axes: "Axes", found: Found, place: str) -> None:
    """Right answers where the blank is in a place, by kind; both models, one below the other."""
    kinds = list(dict.fromkeys(line["kind"] for line in found))
    for line in found:
        if line["blank"] != place:
            continue
        low, high = (100 * end for end in line["interval"])
        share = 100 * line["share"]
        axes.errorbar(
            share,
            kinds.index(line["kind"]) + (-0.12 if line["by"] == "diffusion" else 0.12),
            xerr=[[max(0.0, share - low)], [max(0.0, high - share)]],
            color=COLOURS[line["by"]],
            marker="o" if line["by"] == "diffusion" else "s",
            markersize=5,
            capsize=3,
            linestyle="",
            label=line["by"] if line["kind"] == SAID else None,
        )
    axes.set_yticks(range(len(kinds)), [kind.replace(", ", ",\n") for kind in kinds] if place == LAST else [])
    axes.set_ylim(len(kinds) - 0.5, -0.5)
    axes.set_xlim(-4, 104)
    axes.set_xlabel("right, % (95 % interval)")
    axes.set_title(f"the blank is {place}")
    if place == BEFORE:
        axes.legend(frameon=False, loc="center right")
