"""What a contest prints: who was trained by what, the share of right answers by order and by evaluations, the gate."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from .contest import Contest, Line, Played, Trained, lines
from .contest_plot import Panel, draw
from .showpiece import Result, Stage


def told(stage: Stage, contest: Contest, played: Sequence[Played], panels: Sequence[Panel] = (), **more: Any) -> Result:
    """Prints the table, draws the picture, and returns the numbers, with `more` of them."""
    found, gate = lines(contest, played), None
    print_trained(stage.console, [each.trained for each in played])
    print_lines(stage.console, found)
    if stage.full:
        gate = print_gate(stage.console, contest, found)
    else:
        stage.console.print("Trained for less than it takes: no gate is stated.", style="dim")
    picture = draw(stage.out / "picture.svg", found, panels)
    stage.console.print(picture, style="dim", soft_wrap=True)
    return {
        "seeds": [each.seed for each in played],
        "trained": {str(each.seed): {name: vars(run) for name, run in each.trained.items()} for each in played},
        "lines": [line.json() for line in found],
        "gate": gate,
        **more,
    }


def print_trained(console: Console, trained: Sequence[Mapping[str, Trained]]) -> None:
    """What the models of each seed have cost."""
    table = Table("model", "weights", "steps", "seconds", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in trained[0]:
        runs = [each[name] for each in trained]
        seconds = sum(run.seconds for run in runs) / len(runs)
        table.add_row(name, f"{runs[0].parameters:,}", f"{runs[0].steps:,}", f"{seconds:.0f}")
    console.print(table)


def print_lines(console: Console, found: Sequence[Line]) -> None:
    count = found[0].accuracy.count
    table = Table(
        "decoded by",
        f"right of {count}",
        "95 % interval",
        "evaluations",
        box=None,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    for line in found:
        low, high = line.accuracy.interval
        shares = f"{100 * line.accuracy.share:.1f} %"
        table.add_row(line.way, shares, f"{100 * low:.1f} to {100 * high:.1f} %", f"{line.nfe:.1f}")
    console.print(table)


def print_gate(console: Console, contest: Contest, found: Sequence[Line]) -> dict[str, Any]:
    """Whether what was promised holds."""
    way, least = contest.promise
    share = next(line.accuracy.share for line in found if line.way == way)
    return print_verdict(console, f"at least {100 * least:g} % right by {way}", f"{100 * share:.1f} %", share >= least)


def print_verdict(console: Console, promise: str, reached: str, holds: bool) -> dict[str, Any]:
    said = "holds" if holds else "does NOT hold"
    console.print(f"gate: {promise}: {reached}, {said}", style="green" if holds else "bold red")
    return {"promise": promise, "reached": reached, "holds": holds}
