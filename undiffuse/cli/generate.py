"""`undiffuse generate`: text from nothing, or from a beginning."""

from contextlib import nullcontext
from typing import Annotated, Any

import typer

from .options import (
    AttentionKind,
    Cache,
    DeadlineMs,
    Dtype,
    Family,
    GuidanceScale,
    Json,
    MaskId,
    MaxNfe,
    Model,
    ModelDevice,
    Plugins,
    Revision,
    Samples,
    Seed,
    Set,
    Shift,
    Steps,
    StrategyKind,
    Threads,
    WatchIt,
)


def generate(
    prompts: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="Texts to continue (default: none, from nothing).")
    ] = None,
    model: Model = None,
    length: Annotated[
        int | None,
        typer.Option(
            "--length",
            metavar="N",
            min=1,
            help="Tokens to generate (default: what fits the trained context; of public models 256 at most).",
        ),
    ] = None,
    until: Annotated[
        list[str] | None,
        typer.Option("--until", metavar="TEXT", help="End before this string, when it is written (repeatable)."),
    ] = None,
    steps: Steps = None,
    strategy: StrategyKind = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature",
            metavar="T",
            help="0: always the best token; 1: as trained (default; of public models theirs).",
        ),
    ] = None,
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
    """Generate text, or continue a prompt.

    - as the prompt reads standard input. The prompt is plain text here: [MASK] means nothing special.
    """
    from ..language_model import LanguageModel
    from .console import print_json, print_text, stderr
    from .loading import load_model
    from .source import read_several, refuse_several, with_settings
    from .watch import Watch

    source = read_several(prompts or [""], None)
    if watch:
        refuse_several(source, "--watch")
    options: dict[str, Any] = {
        "length": length,
        "until": until or [],
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
    loaded = load_model(model, device, dtype, threads, plugins, family, mask_id, attention, shift, revision)
    with Watch(loaded.tokenizer) if watch else nullcontext() as on_event:
        texts = loaded.generate([source] if isinstance(source, str) else source, on_event=on_event, **options)
    if json:
        records = [each[0].json() if samples == 1 else [generated.json() for generated in each] for each in texts]
        print_json(records[0] if isinstance(source, str) else records)
        return
    console = stderr()
    for place, each in enumerate(texts, start=1):
        for number, generated in enumerate(each, start=1):
            titles = [f"text {place} of {len(texts)}"] if len(texts) > 1 else []
            titles += [f"sample {number} of {samples}"] if samples > 1 else []
            if titles:
                console.print(", ".join(titles), style="dim")
            print_text(generated.text)
            if generated.stopped is not None:
                console.print(f"ended before {generated.stopped!r}", markup=False, style="dim")
            if generated.note:
                console.print(generated.note, markup=False, style="dim")
        first = each[0]
        console.print(
            f"{first.tokens} tokens in {first.nfe} evaluations, {first.tokens_per_forward:.2f} each; seed {seed}",
            style="dim",
        )
