"""`undiffuse train`: a model of a text, within a budget of minutes or steps."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError
from ..figures import error, figure
from .options import Device, Dtype, Minutes, Plugins, Resume, Revision, TrainSteps, TrainThreads

if TYPE_CHECKING:
    from ..training.run import Run


def train(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE|KEY=VALUE",
            help="Text, JSONL, directories of these, or -; and values such as model.width=192.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Run directory (default: runs/NAME-OF-TEXT).")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="NAME|DIR",
            help="Start from this model's weights: a name, a run, a public checkpoint, or an id of Hugging Face.",
        ),
    ] = None,
    revision: Revision = None,
    recipe: Annotated[
        str | None, typer.Option("--recipe", metavar="NAME|PATH", help="A recipe; see `undiffuse list recipes`.")
    ] = None,
    minutes: Minutes = None,
    steps: TrainSteps = None,
    valid: Annotated[
        Path | None, typer.Option("--valid", metavar="FILE", help="Held-out text (default: a tenth of the text).")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="S", help="Of weights and noise (default: 0).")] = None,
    resume: Resume = None,
    device: Device = None,
    dtype: Dtype = None,
    threads: TrainThreads = None,
    plugins: Plugins = None,
) -> None:
    """Train a model of your text.

    The run directory is printed on stdout. It is never overwritten, and holds the model, its metrics and a report.
    Ctrl-C saves and reports.
    """
    from .bar import TrainingBar
    from .loading import hub_progress
    from .machine import prepare
    from .source import split_overrides

    files, overrides = split_overrides(arguments or [])
    where, number_format = prepare(device, dtype, threads)
    from ..training import run as training

    with TrainingBar() as bar:
        if resume is not None:
            fresh = {"FILE": files, "KEY=VALUE": overrides, "--out": out, "--from": start, "--recipe": recipe}
            fresh |= {"--revision": revision, "--valid": valid}
            refuse_with_resume(fresh | {"--seed": seed, "--device": device, "--dtype": dtype})
            run = training.resume(
                resume, minutes=minutes, steps=steps, threads=threads, plugins=plugins or (), progress=bar
            )
        else:
            if not files:
                raise UserError("name a text to train on, or - to read standard input")
            hub_progress()
            run = training.train(
                files,
                out=out,
                start=start,
                revision=revision,
                recipe=recipe,
                minutes=minutes,
                steps=steps,
                valid=valid,
                seed=seed or 0,
                overrides=overrides,
                device=where,
                dtype=number_format,
                threads=threads,
                plugins=plugins or (),
                progress=bar,
            )
    report(run)


def refuse_with_resume(given: Mapping[str, object]) -> None:
    """UserError for what shaped the run: it goes on as it began."""
    named = [name for name, value in given.items() if value not in (None, [])]
    if named:
        raise UserError(f"--resume goes on with the settings of the run: leave out {', '.join(named)}")


def _quoted(text: str) -> str:
    """As a shell takes it."""
    return shlex.quote(text) if set('"\\$`!\n') & set(text) else f'"{text}"'


def report(run: "Run") -> None:
    """What came out, what to try next, and on stdout the directory; leaves with 130 where the run was interrupted."""
    from .console import stderr

    console = stderr()
    training = run.model.manifest["training"]
    bound = training["bound"]["bits_per_byte"]
    done = "trained" if run.complete else f"interrupted after {run.step:,} of {run.steps:,} steps, everything is saved"
    exact = training["bound"]["kind"] == "exact"
    if (changed := training.get("perplexity")) is not None:
        before, now = (figure(changed[name], 2) for name in ("before", "after"))
        said = f"held-out answers: perplexity {'' if exact else 'at most '}{before} before, {now} now"
    else:
        measured = figure(bound["mean"], 3)
        measured = measured if exact else f"at most {measured}{error(bound['stderr'], 3)}"
        said = f"held-out text: {measured} bits per byte"
    console.print(f"{done}; {said} (see report.md)")
    commands = [
        f"undiffuse generate --model {run.directory} --watch",
        f"undiffuse score FILE --model {run.directory}",
    ]
    if changed is not None and (prompt := run.prompt):
        asked = _quoted(" ".join(prompt.split())[:80])
        chats = "chat" in run.model.manifest
        commands[0] = f"echo {asked} | undiffuse chat" if chats else f"undiffuse generate {asked}"
        commands[0] += f" --model {run.directory}"
    elif run.model.predictor.traits.both_sides:  # else a blank sees one side only
        text = run.example or "Half a text, ____ [MASK] blanks."
        commands.insert(0, f"undiffuse fill {_quoted(text)} --model {run.directory} --watch")
    if not run.complete:
        commands.insert(0, f"undiffuse train --resume {run.directory}")
    console.print("try next:\n  " + "\n  ".join(commands), markup=False, soft_wrap=True)
    print(run.directory)
    if not run.complete:
        raise typer.Exit(130)
