"""Options that several verbs share, so that they read and behave the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

Device = Annotated[
    str | None,
    typer.Option(
        "--device", metavar="NAME", help="Where to compute: cpu, cuda, cuda:1 (default: auto, a GPU if there is one)."
    ),
]
ModelDevice = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="Where to compute: cpu, cuda, or for a large model cuda:0,cuda:1 (default: auto, all GPUs).",
    ),
]
CheckDevice = Annotated[
    str | None,
    typer.Option("--device", metavar="NAME", help="Where to compute: cpu, cuda, cuda:1 (default: cpu)."),
]
Dtype = Annotated[
    str | None,
    typer.Option("--dtype", metavar="NAME", help="Number format of the weights: float32, bfloat16, float16, int8."),
]
Plugins = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="PACKAGE", help="Allow a model to import this installed package (repeatable)."),
]
Threads = Annotated[int | None, typer.Option("--threads", metavar="N", min=1, help="CPU threads (default: all cores).")]
TrainThreads = Annotated[
    int | None,
    typer.Option("--threads", metavar="N", min=1, help="CPU threads (default: all; with --minutes what is fastest)."),
]
Minutes = Annotated[float | None, typer.Option("--minutes", metavar="M", help="Budget in minutes (default: 2).")]
TrainSteps = Annotated[
    int | None, typer.Option("--steps", metavar="N", min=1, help="Budget in steps; never consults the clock.")
]
Resume = Annotated[
    Path | None,
    typer.Option("--resume", metavar="DIR", help="Go on with an interrupted run, or extend a finished one."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout and nothing else.")]
Model = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="NAME|DIR",
        help="A name (`undiffuse models`), a run, a public checkpoint, a .gguf file or an id of Hugging Face "
        "(default: the newest run; without one, what comes with undiffuse).",
    ),
]
Revision = Annotated[
    str | None,
    typer.Option("--revision", metavar="NAME", help="Branch, tag or commit of a model on Hugging Face."),
]
Family = Annotated[
    str | None,
    typer.Option(
        "--family",
        metavar="NAME",
        help="Of a public checkpoint; see `undiffuse list families` (default: as it says).",
    ),
]
MaskId = Annotated[
    int | None, typer.Option("--mask-id", metavar="ID", min=0, help="Which row of a public checkpoint is the mask.")
]
AttentionKind = Annotated[
    str | None,
    typer.Option("--attention", metavar="KIND", help="Of a public checkpoint: full, causal, or block:N."),
]
Shift = Annotated[
    bool | None,
    typer.Option(
        "--shift/--no-shift",
        help="Whether each row of a public checkpoint speaks of the next position.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="S", help="The same seed gives the same result.")]
Samples = Annotated[int, typer.Option("-n", "--samples", metavar="N", min=1, help="How many results.")]
Steps = Annotated[
    int | None,
    typer.Option("--steps", metavar="N", min=1, help="Decoding steps (default: what the strategy needs)."),
]
StrategyKind = Annotated[
    str | None,
    typer.Option("--strategy", metavar="KIND", help="See `undiffuse list strategies` (default: what suits the model)."),
]
Cache = Annotated[
    str | None,
    typer.Option(
        "--cache", metavar="KIND", help="What to keep between steps to save work; see `undiffuse list caches`, or auto."
    ),
]
GuidanceScale = Annotated[
    float | None,
    typer.Option(
        "--guidance", metavar="S", help="Follow the fixed text more (above 1) or less (below 1; 1: as the model does)."
    ),
]
MaxNfe = Annotated[
    int | None,
    typer.Option("--max-nfe", metavar="N", help="End with the best complete text after N network evaluations."),
]
DeadlineMs = Annotated[
    float | None,
    typer.Option("--deadline-ms", metavar="MS", help="End with the best complete text after this many milliseconds."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="An option of the strategy, such as threshold=0.7 (repeatable)."),
]
Candidates = Annotated[
    int | None,
    typer.Option(
        "--candidates",
        metavar="K",
        min=1,
        help="Of a causal model: how many fillings are ranked by what follows (default: fill 64, check 32).",
    ),
]
Right = Annotated[
    int | None,
    typer.Option(
        "--right",
        metavar="N",
        min=0,
        help="Of a causal model: tokens of what follows that are read (default: fill 64, check 16).",
    ),
]
WatchIt = Annotated[bool, typer.Option("--watch", help="Draw the text in the terminal while it is being denoised.")]
