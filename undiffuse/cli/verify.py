"""`undiffuse verify`: the mathematics of this installation against exact enumeration."""

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError
from .options import CheckDevice, Json, Threads

if TYPE_CHECKING:
    from ..exact.law import Result


def verify(
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Part of a law's or component's name; * and ? as in file names.")
    ] = "",
    json: Json = False,
    device: CheckDevice = None,
    threads: Threads = None,
) -> None:
    """Check the mathematics against exact enumeration.

    Every law is checked on every component, in worlds small enough to enumerate. Laws are checked in float64.
    Exit code 1 if a law does not hold.
    """
    from ..exact.verify import verify as check
    from .console import print_json, stdout
    from .machine import prepare

    # the worlds are tiny: more threads would wait for each other
    where, _ = prepare(device or "cpu", None, threads or 1)
    results = []
    console = stdout()
    with where:
        for result in check(pattern):
            results.append(result)
            if not json:
                console.print(_line(result), soft_wrap=True)
    if not results:
        raise UserError(f"no law or component matches {pattern!r}; `undiffuse verify` alone lists them all")
    failed = sum(not result.passed for result in results)
    if json:
        print_json([result.record() for result in results])
    else:
        print(f"{len(results) - failed} of {len(results)} hold")
    if failed:
        raise typer.Exit(1)


def _line(result: "Result") -> str:
    mark = "[green]pass[/]" if result.passed else "[bold red]FAIL[/]"
    return f"{mark}  error {result.error:8.1e} ≤ {result.tolerance:7.1e}  {result.law}: {result.component}"
