"""`undiffuse generate`: text from nothing, or from a beginning."""

from contextlib import nullcontext
from typing import Annotated, Any

import typer

from .options import (
    Cache,
    DeadlineMs,
    Device,
    Dtype,
    GuidanceScale,
    Json,
    MaxNfe,
    Model,
    Plugins,
    Samples,
    Seed,
    Set,
    Steps,
    StrategyKind,
    Threads,
    WatchIt,
)


def generate(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="Text to continue.")] = "",
    model: Model = None,
    length: Annotated[
        int | None,
        typer.Option(
            "--length", metavar="N", min=1, help="Tokens to generate (default: what fits the trained context)."
        ),
    ] = None,
    steps: Steps = None,
    strategy: StrategyKind = None,
    temperature: Annotated[
        float, typer.Option("--temperature", metavar="T", help="0: always the best token; 1: as trained.")
    ] = 1.0,
    top_p: Annotated[
        float | None,
        typer.Option("--top-p", metavar="P", help="Draw from the best tokens that hold this share of probability."),
    ] = None,
    top_k: Annotated[int | None, typer.Option("--top-k", metavar="K", help="Draw from the K best tokens.")] = None,
    block_length: Annotated[
        int | None,
        typer.Option(
            "--block-length", metavar="N", min=1, help="Finish blocks of this many tokens from left to right."
        ),
    ] = None,
    own: Set = None,
    cache: Cache = None,
    guidance: GuidanceScale = None,
    max_nfe: MaxNfe = None,
    deadline_ms: DeadlineMs = None,
    samples: Samples = 1,
    seed: Seed = 0,
    watch: WatchIt = False,
    json: Json = False,
    device: Device = None,
    dtype: Dtype = None,
    threads: Threads = None,
    plugins: Plugins = None,
) -> None:
    """Generate text, or continue a prompt.

    - as the prompt reads standard input. The prompt is plain text here: [MASK] means nothing special.
    """
    from ..language_model import LanguageModel
    from .console import print_json, print_text, stderr
    from .loading import load_model
    from .source import read_text, with_settings
    from .watch import Watch

    source = read_text(prompt, None)
    options: dict[str, Any] = {
        "length": length,
        "steps": steps,
        "strategy": strategy,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "block_length": block_length,
        "cache": cache,
        "guidance": guidance,
        "max_nfe": max_nfe,
        "deadline_ms": deadline_ms,
        "samples": samples,
        "seed": seed,
    }
    options = with_settings(options, own, LanguageModel.generate)
    loaded = load_model(model, device, dtype, threads, plugins)
    with Watch(loaded.tokenizer) if watch else nullcontext() as on_event:
        found = loaded.generate(source, on_event=on_event, **options)
    if json:
        print_json(found[0].json() if samples == 1 else [generated.json() for generated in found])
        return
    console = stderr()
    for number, generated in enumerate(found, start=1):
        if samples > 1:
            console.print(f"sample {number} of {samples}", style="dim")
        print_text(generated.text)
        if generated.note:
            console.print(generated.note, markup=False, style="dim")
    console.print(
        f"{found[0].tokens} tokens in {found[0].nfe} evaluations, {found[0].tokens_per_forward:.2f} each; seed {seed}",
        style="dim",
    )
