"""`undiffuse inspect`: what a directory or a file holds, from its headers alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import AttentionKind, Family, Json, MaskId, Plugins, Revision, Shift

if TYPE_CHECKING:
    from ..language_model import Inspection


def inspect(
    place: Annotated[
        Path | None,
        typer.Argument(
            metavar="PLACE",
            help="A name (`undiffuse models`), a directory, a .gguf file, or an id of Hugging Face "
            "(default: the newest run; without one, what comes with undiffuse).",
        ),
    ] = None,
    json: Json = False,
    revision: Revision = None,
    plugins: Plugins = None,
    family: Family = None,
    mask_id: MaskId = None,
    attention: AttentionKind = None,
    shift: Shift = None,
) -> None:
    """Say what a model is: family, sizes, special tokens, attention, template, memory, and what is doubtful.

    No weights are read, so it takes a moment however large the model is. A model that does not load is described as far
    as it can be, and the first doubt says why.
    """
    from ..language_model import find
    from ..language_model import inspect as look
    from .console import print_json, print_text
    from .loading import hub_progress, say

    hub_progress()
    named = find(place, revision, headers=True)
    say(named)
    found = look(
        named,
        family=family,
        mask_id=mask_id,
        attention=attention,
        shift=shift,
        plugins=plugins or (),
    )
    if json:
        print_json(found.json())
        return
    lines = list(_lines(found))
    width = max(len(name) for name, _ in lines)
    print_text("\n".join(f"{name:<{width}}  {value}" for name, value in lines))


def _lines(found: "Inspection") -> Iterator[tuple[str, str]]:
    from ..language_model.memory import shown

    yield "place", found.where
    if found.adapter:
        yield "adapter", f"of rank {found.adapter['rank']} over {found.adapter['base']}, which the rest describes"
    yield "family", found.family or "unknown"
    if found.parameters is not None:
        layers = "1 layer" if found.layers == 1 else f"{found.layers} layers"
        sizes = [f"{layers} of width {found.width}"] if found.layers else []
        sizes += [f"a table of {found.rows:,} rows"] if found.rows else []
        yield "parameters", ", ".join([f"{found.parameters:,}", *sizes])
    if found.dtype:
        yield "stored as", found.dtype
    if found.memory:
        yield "memory", ", ".join(f"{shown(size)} in {name}" for name, size in found.memory.items())
    if found.context:
        yield "context", f"{found.context:,} positions"
    if found.attention:
        blocks = f", in blocks of {found.block_length}" if found.block_length else ""
        window = f", in some layers {found.window} positions to either side" if found.window else ""
        yield "attention", f"{found.attention}{blocks}{window}"
        yield (
            "alignment",
            "row i − 1 speaks of position i" if found.alignment == "shifted" else "row i speaks of position i",
        )
    if found.noise:
        yield "noise", found.noise
    if found.head:
        yield "head", found.head
    for name, role in found.ids.items():
        if role.id is not None:
            yield f"{name} id", f"{role.id} ({role.source})"
    if found.tokenizer:
        start, around = found.tokenizer["start"], found.tokenizer["around"]
        begins = "" if start is None else f", {start} before every text"
        if around:
            before, after = (" ".join(map(str, side)) for side in around)
            begins = f", {before} before and {after} after every text"
        yield "tokenizer", f"{found.tokenizer['kind']}, {found.tokenizer['tokens']:,} tokens of text{begins}"
    else:
        yield "tokenizer", "none"
    yield "chat template", found.template or "none"
    yield "license", found.license or "the files do not say"
    yield "loads", "yes" if found.loads else "no"
    for doubt in found.doubts:
        yield "doubt", doubt
