"""`undiffuse demo`: a small task, trained live and checked by itself."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Json, TrainThreads

if TYPE_CHECKING:
    from ..demo.showpiece import Watching
    from ..text.codec import Codec

FIRST = ("world", "pages")
"""What is played where no name is given."""


def demo(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="A showpiece; see `undiffuse list demos` (default: a tour).")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes", metavar="M", help="Training time of each model; with less than the default no gate is stated."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where runs, pictures and results go (default: demos/NAME)."),
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", min=1, help="Train so many seeds, and count their answers together.")
    ] = 1,
    json: Json = False,
    threads: TrainThreads = None,
) -> None:
    """Train something small, live, and see what it can and cannot do.

    Each showpiece trains its models within minutes, checks itself, and says plainly what came of it.
    """
    from ..demo.showpiece import play, showpiece
    from .bar import TrainingBar
    from .console import print_json, stderr, stdout

    pieces = {each: showpiece(each) for each in ((name,) if name else FIRST)}
    console = stderr() if json else stdout()
    results = play(pieces, console, out, minutes, lambda: TrainingBar(stderr()), watching, threads, seeds)
    if json:
        print_json(results)


def watching(tokenizer: "Codec", pace: float) -> "Watching":
    """The view of a text as it denoises, where there is a terminal to draw it on."""
    from contextlib import nullcontext

    from .console import stderr
    from .watch import Watch

    console = stderr()
    return Watch(tokenizer, console, pace) if console.is_terminal else nullcontext()
