"""The model of a verb: the one that --model names, or the newest run, said aloud."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .console import stderr
from .machine import prepare

if TYPE_CHECKING:
    from ..language_model import LanguageModel


def load_model(
    directory: Path | None,
    device: str | None,
    dtype: str | None,
    threads: int | None,
    plugins: list[str] | None,
    family: str | None = None,
    mask_id: int | None = None,
    attention: str | None = None,
    shift: bool | None = None,
    revision: str | None = None,
) -> "LanguageModel":
    """The model on its device. Without a directory it is the newest finished run, and stderr says which.

    The last five are said of public checkpoints.
    """
    from ..language_model import load, newest_run

    where, number_format = prepare(device, dtype, threads)
    if directory is None:
        directory = newest_run()
        stderr().print(f"model: {directory}", style="dim", markup=False, soft_wrap=True)
    hub_progress()
    return load(
        directory,
        device=where,
        dtype=number_format,
        family=family,
        mask_id=mask_id,
        attention=attention,
        shift=shift,
        plugins=plugins or (),
        revision=revision,
    )


def hub_progress() -> None:
    """Have huggingface_hub draw its progress on a terminal alone, and not where everything is to be quiet."""
    console = stderr()
    if console.quiet or not console.is_terminal:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
