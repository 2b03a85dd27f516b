"""`undiffuse convert`: a model in another format."""

from pathlib import Path
from typing import Annotated

import typer

from .options import AttentionKind, Family, MaskId, Plugins, Revision, Shift


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SRC", help="A name, a run, a public checkpoint, a .gguf file or an id of Hugging Face."
        ),
    ],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="The directory to write; it must not exist.")],
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="FAMILY",
            help="undiffuse for a run, or a family of public checkpoints (default: what SRC is).",
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option("--dtype", metavar="NAME", help="Number format to write (default: as it is stored)."),
    ] = None,
    revision: Revision = None,
    plugins: Plugins = None,
    family: Family = None,
    mask_id: MaskId = None,
    attention: AttentionKind = None,
    shift: Shift = None,
) -> None:
    """Write a model in another format: a run, a public layout, in another number format.

    What the model says does not change; a target that has no words for it is refused, with the reason. GGUF files are
    read and not written. The directory is printed on stdout.
    """
    from ..language_model import convert as write
    from .console import print_text
    from .loading import hub_progress

    hub_progress()
    written = write(
        source,
        destination,
        to=to,
        dtype=dtype,
        revision=revision,
        family=family,
        mask_id=mask_id,
        attention=attention,
        shift=shift,
        plugins=plugins or (),
    )
    print_text(str(written))
