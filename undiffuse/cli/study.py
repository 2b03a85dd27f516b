"""`undiffuse study`: many settings of one thing on a model of yours, with a table and a plot."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UserError, did_you_mean
from .options import Device, Dtype, Json, Model, Seed, Threads

if TYPE_CHECKING:
    from ..language_model import LanguageModel
    from ..study.frontier import Questions

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)


@app.callback()
def study() -> None:
    """Measure many settings on a model, with a table and a plot."""


@app.command("frontier")
def frontier(
    model: Model = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", metavar="FILE", help="Text to take prompts from (default: the run's held-out text)."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where results, table and plot go; a study there goes on.")
    ] = Path("frontier"),
    samples: Annotated[int, typer.Option("-n", "--samples", metavar="N", min=1, help="Prompts.")] = 8,
    prompt_length: Annotated[int, typer.Option("--prompt-length", metavar="N", min=1, help="Tokens of a prompt.")] = 32,
    length: Annotated[int, typer.Option("--length", metavar="N", min=2, help="New tokens after each prompt.")] = 64,
    temperature: Annotated[
        float, typer.Option("--temperature", metavar="T", min=0.0, help="0: always the best token; 1: as trained.")
    ] = 1.0,
    strategy: Annotated[
        list[str] | None, typer.Option("--strategy", metavar="KIND", help="Only this one (repeatable; default: all).")
    ] = None,
    cache: Annotated[
        list[str] | None, typer.Option("--cache", metavar="KIND", help="Under this cache (repeatable; default: none).")
    ] = None,
    block_length: Annotated[
        int, typer.Option("--block-length", metavar="N", min=1, help="Windows of this many tokens, under a cache.")
    ] = 32,
    plots: Annotated[bool, typer.Option("--plot/--no-plot", help="Draw frontier.png and frontier.svg too.")] = True,
    seed: Seed = 0,
    json: Json = False,
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = None,
) -> None:
    """Quality of generated text against its cost, for every strategy of decoding.

    All settings continue the same prompts. Quality is what an n-gram of the training text makes of the result, beside
    entropy and repetition; cost is counted in evaluations of the network and rows that go through it.
    """
    from ..kinds import CACHES, STRATEGIES
    from ..study.frontier import frontier as measured
    from ..study.frontier import results
    from ..study.setting import grid
    from ..study.table import table
    from .console import print_json, print_text, stderr
    from .loading import load_model

    kinds, caches = strategy or list(STRATEGIES.kinds), cache or ["none"]
    for family, named in ((STRATEGIES, kinds), (CACHES, caches)):
        for kind in named:
            if kind not in family.kinds:
                raise UserError(f"there is no {family.name} {kind!r}{did_you_mean(kind, family.kinds)}")
    if plots:
        _check_plots()
    loaded = load_model(model, device, dtype, threads)
    questions = _questions(loaded, prompts, samples, prompt_length, length)
    settings = list(grid(length, kinds, caches, block_length))
    for number, line in enumerate(measured(loaded, questions, settings, out, temperature=temperature, seed=seed), 1):
        stderr().print(f"{number}/{len(settings)}  {_short(line)}", style="dim", markup=False, soft_wrap=True)
    asked, lines = results(out)
    (out / "frontier.md").write_text(table(asked, lines), encoding="utf-8")
    if plots:
        from ..study.plot import plot

        plot(asked, lines, [out / "frontier.png", out / "frontier.svg"])
    if json:
        print_json([asked, *lines])
    else:
        print_text(table(asked, lines), end="")


@app.command("fidelity")
def fidelity(
    model: Model = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", metavar="FILE", help="Text to take prompts from (default: the run's held-out text)."),
    ] = None,
    samples: Annotated[int, typer.Option("-n", "--samples", metavar="N", min=1, help="Prompts.")] = 8,
    prompt_length: Annotated[int, typer.Option("--prompt-length", metavar="N", min=1, help="Tokens of a prompt.")] = 32,
    length: Annotated[int, typer.Option("--length", metavar="N", min=2, help="New tokens after each prompt.")] = 64,
    strategy: Annotated[
        str, typer.Option("--strategy", metavar="KIND", help="Whose trajectory without a cache is replayed.")
    ] = "confidence",
    block_length: Annotated[
        int, typer.Option("--block-length", metavar="N", min=1, help="Windows of this many tokens.")
    ] = 16,
    seed: Seed = 0,
    json: Json = False,
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = None,
) -> None:
    """How far the predictions under each cache are from exact ones, at pending positions.

    The trajectory of a decoding without a cache is replayed under each: KL in nats and the share of changed best
    tokens, per pending position, and the rows that went through the network as a share of all.
    """
    from ..study.fidelity import fidelities, table
    from .console import print_json, print_text
    from .loading import load_model

    loaded = load_model(model, device, dtype, threads)
    questions = _questions(loaded, prompts, samples, prompt_length, length)
    texts = [[*p, *t] for p, t in zip(questions.prompts, questions.truth, strict=True)]
    lines = list(fidelities(loaded, texts, prompt_length, block_length, strategy, seed))
    if json:
        print_json([line.json() for line in lines])
    else:
        print_text(table(lines), end="")


def _questions(model: "LanguageModel", prompts: Path | None, samples: int, prompt: int, length: int) -> "Questions":
    from ..study.frontier import Questions, held_out, scorer_of
    from .source import read_text

    text, training = held_out(Path(model.name))
    if prompts is not None:
        text = read_text(None, prompts)
    return Questions.of(model, text, scorer_of(training, text), samples, prompt, length)


def _check_plots() -> None:
    """Refused before an hour of decoding rather than after it."""
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("plots need matplotlib: pip install 'undiffuse[plot]', or give --no-plot")


def _short(line: dict[str, Any]) -> str:
    if "refused" in line:
        return f"{line['name']}: not run, {line['refused']}"
    return (
        f"{line['name']}: {line['nfe']:.1f} evaluations, {line['rows_per_token']:.1f} rows per token, "
        f"{line['surprise']:.3f} bits per byte, entropy {line['entropy']:.2f}, repetition {line['repetition']:.3f}"
    )
