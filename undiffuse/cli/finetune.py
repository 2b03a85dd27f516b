"""`undiffuse finetune`: a model that has learned prompts and their answers."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UserError
from .options import Device, Dtype, Minutes, Plugins, Resume, Revision, TrainSteps, TrainThreads


def finetune(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL DATA|KEY=VALUE",
            help="A name, a run, a public checkpoint or an id of Hugging Face; then JSONL of prompts and responses or "
            "of conversations, and values such as optimizer.lr=1e-4.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Run directory (default: runs/NAME-OF-DATA).")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", metavar="NAME|PATH", help="A recipe; see `undiffuse list recipes` (default: sft)."),
    ] = None,
    lora: Annotated[
        int | None,
        typer.Option(
            "--lora", metavar="R", min=1, help="Learn low-rank updates beside the weights, kept as an adapter."
        ),
    ] = None,
    template: Annotated[
        str | None,
        typer.Option(
            "--template",
            metavar="NAME|FILE",
            help="How conversations are written: auto (the model's own), none, chatml, or a file (default: auto).",
        ),
    ] = None,
    minutes: Minutes = None,
    steps: TrainSteps = None,
    valid: Annotated[
        Path | None, typer.Option("--valid", metavar="FILE", help="Held-out answers (default: a tenth of the data).")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", metavar="S", help="Of the noise (default: 0).")] = None,
    resume: Resume = None,
    revision: Revision = None,
    device: Device = None,
    dtype: Dtype = None,
    threads: TrainThreads = None,
    plugins: Plugins = None,
) -> None:
    """Fine-tune a model on prompts and their answers.

    Prompts stay as they are; responses are learned. The run directory is printed on stdout and opens in every verb;
    its report has answers before and after. Ctrl-C saves and reports.
    """
    from .bar import TrainingBar
    from .loading import hub_progress
    from .machine import prepare
    from .source import split_overrides
    from .train import refuse_with_resume, report

    named, overrides = split_overrides(arguments or [])
    where, number_format = prepare(device, dtype, threads)
    from ..training import finetune as tuning
    from ..training import run as training

    with TrainingBar() as bar:
        if resume is not None:
            fresh = {"MODEL and DATA": named, "KEY=VALUE": overrides, "--out": out, "--recipe": recipe, "--lora": lora}
            fresh |= {"--template": template, "--revision": revision, "--valid": valid}
            refuse_with_resume(fresh | {"--seed": seed, "--device": device, "--dtype": dtype})
            run = training.resume(
                resume, minutes=minutes, steps=steps, threads=threads, plugins=plugins or (), progress=bar
            )
        else:
            if len(named) < 2:
                raise UserError("name a model and the data: undiffuse finetune MODEL DATA.jsonl")
            hub_progress()
            run = tuning.finetune(
                named[0],
                named[1:],
                out=out,
                revision=revision,
                recipe=recipe or tuning.RECIPE,
                minutes=minutes,
                steps=steps,
                valid=valid,
                seed=seed or 0,
                lora=lora,
                template=template or tuning.OWN,
                overrides=overrides,
                device=where,
                dtype=number_format,
                threads=threads,
                plugins=plugins or (),
                progress=bar,
            )
    report(run)
