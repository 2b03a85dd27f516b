"""`undiffuse fill`: the blanks of a text, with probabilities."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Device, Dtype, Json, Model, Samples, Seed, StrategyKind, Threads, WatchIt

if TYPE_CHECKING:
    from ..language_model import Filled


def fill(
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT|-", help="Text with blanks; - reads standard input.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="F", help="Read the text from a file.")] = None,
    model: Model = None,
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="How many answers to show for each blank.")] = 3,
    strategy: StrategyKind = "confidence",
    temperature: Annotated[
        float | None,
        typer.Option("--temperature", metavar="T", help="0: the best tokens (default for one sample); 1: draw them."),
    ] = None,
    samples: Samples = 1,
    seed: Seed = 0,
    watch: WatchIt = False,
    json: Json = False,
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = None,
) -> None:
    """Fill the blanks of a text, with probabilities.

    [MASK] is one token, [MASK:5] five; [MASK:2-6] and ____ have a length that the model chooses. \\[MASK] is the
    literal text. The filled text goes to stdout, the table of answers to stderr.
    """
    from .console import print_json, stderr
    from .loading import load_model
    from .source import read_text
    from .watch import Watch

    source = read_text(text, file)
    loaded = load_model(model, device, dtype, threads)
    with Watch(loaded.tokenizer) if watch else nullcontext() as on_event:
        found = loaded.fill(
            source, strategy=strategy, top=top, samples=samples, temperature=temperature, seed=seed, on_event=on_event
        )
    if found[0].note:
        stderr().print(found[0].note, markup=False, style="dim")
    if json:
        print_json(found[0].json() if samples == 1 else [filled.json() for filled in found])
        return
    exact = file is not None and not sys.stdout.isatty()
    for filled in found:
        _show(filled, end="" if exact else "\n")


def _show(filled: "Filled", end: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from .console import print_text, stderr
    from .visible import one_line

    print_text(filled.text, end=end)
    table = Table("blank", "answer", "probability", "other answers", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for hole in filled.holes:
        others = "  ".join(f"{one_line(other.text)} {_shown(other.probability)}" for other in hole.alternatives)
        cells = (str(hole.index + 1), one_line(hole.text), _shown(hole.probability), others)
        table.add_row(*map(Text, cells))
    console = stderr()
    console.print(table)
    console.print(
        f"{filled.nfe} evaluations, {filled.tokens_per_forward:.2f} tokens each; seed {filled.seed}", style="dim"
    )


def _shown(probability: float) -> str:
    return f"{probability:.3f}" if probability >= 0.001 else f"{probability:.0e}"
