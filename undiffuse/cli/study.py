"""`undiffuse study`: many settings of one thing on a model of yours, with a table and a plot."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UserError, did_you_mean
from ..figures import error, figure
from .options import (
    AttentionKind,
    Device,
    Dtype,
    Family,
    Json,
    MaskId,
    Model,
    ModelDevice,
    Plugins,
    Revision,
    Seed,
    Shift,
    Threads,
)

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
        int,
        typer.Option("--block-length", metavar="N", min=1, help="Finish windows of this many tokens, under a cache."),
    ] = 32,
    plots: Annotated[bool, typer.Option("--plot/--no-plot", help="Draw frontier.png and frontier.svg too.")] = True,
    seed: Seed = 0,
    json: Json = False,
    device: ModelDevice = None,
    dtype: Dtype = None,
    threads: Threads = None,
    plugins: Plugins = None,
    family: Family = None,
    mask_id: MaskId = None,
    attention: AttentionKind = None,
    shift: Shift = None,
    revision: Revision = None,
) -> None:
    """Quality of generated text against its cost, for every strategy of decoding.

    All settings continue the same prompts. Quality is how plausible an n-gram of the training text finds the result,
    beside how varied it is (entropy) and how repetitive; cost is counted in evaluations of the network and in rows,
    the positions that go through it.
    """
    from ..kinds import CACHES, STRATEGIES
    from ..study.frontier import frontier as measured
    from ..study.frontier import results
    from ..study.setting import grid
    from ..study.table import table
    from .console import print_json, print_text, stderr
    from .loading import load_model

    kinds, caches = strategy or list(STRATEGIES.kinds), cache or ["none"]
    for sort, named in ((STRATEGIES, kinds), (CACHES, caches)):
        for kind in named:
            if kind not in sort.kinds:
                raise UserError(f"there is no {sort.name} {kind!r}{did_you_mean(kind, sort.kinds)}")
    if plots:
        _check_plots()
    loaded = load_model(model, device, dtype, threads, plugins, family, mask_id, attention, shift, revision)
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


@app.command("processes")
def processes(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|KEY=VALUE", help="Text as for `train`; values such as model.width=192, for all recipes."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where runs, results and pages go; a study there goes on.")
    ] = Path("processes"),
    chosen: Annotated[
        str | None,
        typer.Option(
            "--recipes", metavar="A,B,C", help="Recipes by name or path, or `all` (default: eight of different kinds)."
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option("--minutes", metavar="M", help="Training time of each recipe and seed (default: 2).")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", metavar="N", min=1, help="Instead: training steps of each, on equally many tokens."),
    ] = None,
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", min=1, help="Train each recipe with the seeds 0 to N - 1.")
    ] = 1,
    valid: Annotated[
        Path | None, typer.Option("--valid", metavar="FILE", help="Held-out text (default: a tenth of the text).")
    ] = None,
    nfe: Annotated[
        str, typer.Option("--nfe", metavar="N,N,…", help="Evaluations of the network per generated text.")
    ] = "4,16,64",
    samples: Annotated[int, typer.Option("-n", "--samples", metavar="N", min=1, help="Generated texts.")] = 32,
    length: Annotated[
        int | None,
        typer.Option(
            "--length", metavar="N", min=2, help="New tokens of each (default: three quarters of the context)."
        ),
    ] = None,
    blanks: Annotated[
        int, typer.Option("--blanks", metavar="N", min=1, help="Hidden tokens of the held-out text to name.")
    ] = 300,
    plots: Annotated[bool, typer.Option("--plot/--no-plot", help="Draw plots into the page too.")] = True,
    json: Json = False,
    device: Device = None,
    threads: Threads = None,
) -> None:
    """Train recipes on a text at equal cost and measure all in one unit.

    Every recipe has the same text, network, batch and vocabulary, except for what the recipe itself sets. Measured are
    bits per byte of the held-out text, quality of generated text at several numbers of evaluations, repair of planted
    errors, and naming of hidden tokens; tables and plots of everything in DIR are written to DIR/index.html. The same
    command goes on with what was interrupted; further recipes and seeds may be added later.
    """
    from ..study.cell import Asked
    from ..study.comparison_page import write_pages
    from ..study.processes import DEFAULT, Study, every, results
    from ..training.run import DEFAULT as BUDGET
    from .bar import TrainingBar
    from .console import print_json, print_text, stderr
    from .machine import prepare
    from .source import split_overrides

    if plots:
        _check_plots()
    files, overrides = split_overrides(arguments)
    if not files:
        raise UserError("name a text to train on")
    names = DEFAULT if chosen is None else every() if chosen == "all" else _listed("--recipes", chosen)
    where, _ = prepare(device, None, threads)
    study = Study.open(
        files,
        out,
        names,
        seeds=seeds,
        minutes=BUDGET.minutes if minutes is None and steps is None else minutes,
        steps=steps,
        overrides=overrides,
        valid=None if valid is None else str(valid),
        asked=Asked(nfe=_numbers("--nfe", nfe), samples=samples, length=length, blanks=blanks),
        device=where,
        threads=threads,
    )
    console, failed = stderr(), []
    for number, cell in enumerate(study.cells, 1):
        found = study.kept(cell)
        name = f"{number}/{len(study.cells)}  {cell.system}, seed {cell.seed}"
        if found is None:
            console.print(name, markup=False, highlight=False)
            try:
                with TrainingBar() as bar:
                    found = study.measure(cell, bar)
            except UserError as error:
                failed.append(f"{cell.name}: {error}")
                console.print(f"{name}: failed, {error}", markup=False, highlight=False, soft_wrap=True)
                continue
        console.print(f"{name}: {_measured(found)}", style="dim", markup=False, highlight=False, soft_wrap=True)
    asked, cells = results(out)
    if cells:
        write_pages(out, asked, cells, plots)
        if json:
            print_json({**asked, "cells": cells})
        else:
            print_text((out / "processes.md").read_text(encoding="utf-8"), end="")
            console.print(f"the page: {out / 'index.html'}", markup=False, soft_wrap=True)
    if failed:
        raise UserError(f"{len(failed)} of {len(study.cells)} could not be measured: " + "; ".join(failed))


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
        str, typer.Option("--strategy", metavar="KIND", help="The strategy that decodes the texts.")
    ] = "confidence",
    block_length: Annotated[
        int, typer.Option("--block-length", metavar="N", min=1, help="Finish windows of this many tokens.")
    ] = 16,
    seed: Seed = 0,
    json: Json = False,
    device: ModelDevice = None,
    dtype: Dtype = None,
    threads: Threads = None,
    plugins: Plugins = None,
    family: Family = None,
    mask_id: MaskId = None,
    attention: AttentionKind = None,
    shift: Shift = None,
    revision: Revision = None,
) -> None:
    """How much each cache changes what the model predicts, and how much work it saves.

    Texts are decoded once without a cache; then every cache is asked at the same moments. Its predictions are compared
    with the exact ones at every undecided position: KL divergence in nats, and the share of positions where another
    token is the best. The rows that went through the network are given as a share of those without a cache.
    """
    from ..study.fidelity import fidelities, table
    from .console import print_json, print_text
    from .loading import load_model

    loaded = load_model(model, device, dtype, threads, plugins, family, mask_id, attention, shift, revision)
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


def _listed(option: str, text: str) -> tuple[str, ...]:
    """What stands between commas."""
    parts = tuple(part.strip() for part in text.split(","))
    if not all(parts):
        raise UserError(f"{option} {text!r}: expected values with commas between them")
    return parts


def _numbers(option: str, text: str) -> tuple[int, ...]:
    parts = _listed(option, text)
    if not all(part.isdecimal() and int(part) for part in parts):
        raise UserError(f"{option} {text!r}: expected whole numbers, 1 or more, with commas between them")
    return tuple(sorted({int(part) for part in parts}))


def _measured(cell: Mapping[str, Any]) -> str:
    """A line about a cell that is done."""
    bits, cost = cell["likelihood"]["bits_per_byte"], cell["training"]
    measuring = sum(cell["seconds"].values())
    spread = "" if cell["likelihood"]["kind"] == "exact" else error(bits["stderr"], 3)
    return (
        f"{figure(bits['mean'], 3)}{spread} bits per byte, {cost['steps']:,} steps in {cost['seconds']:.0f} seconds, "
        f"measured in {measuring:.0f}"
    )


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
