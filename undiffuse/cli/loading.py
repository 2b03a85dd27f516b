"""The model of a verb: the one that --model names, or the newest run or the bundled model, said aloud."""

import os
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from ..device import AUTO, devices_of
from .console import stderr
from .machine import format_of, set_threads

if TYPE_CHECKING:
    from rich.progress import Progress

    from ..language_model import Found, LanguageModel


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
    """The model on its devices. Where none is named, stderr says which is taken.

    The last five are said of public checkpoints.
    """
    from ..language_model import find, load

    devices_of(device)  # a wrong name is said before a model is looked for
    set_threads(threads)
    number_format = format_of(dtype)
    hub_progress()
    found = find(directory, revision)
    say(found)
    with LoadingBar() as bar:
        return load(
            found,
            device=AUTO if device is None else device,
            dtype=number_format,
            family=family,
            mask_id=mask_id,
            attention=attention,
            shift=shift,
            plugins=plugins or (),
            progress=bar,
        )


def say(found: "Found") -> None:
    """Which model is taken, where none was named."""
    if found.note:
        stderr().print(found.note, style="dim", markup=False, soft_wrap=True)


class LoadingBar:
    """A bar on a terminal while a model is read, if that takes longer than a moment; nothing elsewhere."""

    MOMENT = 0.5
    """Seconds."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._bar: Progress | None = None
        self._console = stderr()

    def __enter__(self) -> "LoadingBar":
        return self

    def __call__(self, done: int, whole: int) -> None:
        if self._bar is None:
            if not self._console.is_terminal or time.monotonic() - self._began < self.MOMENT or done == whole:
                return
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(TextColumn("loading"), BarColumn(), console=self._console, transient=True)
            self._task = self._bar.add_task("loading", total=whole)
            self._bar.start()
        self._bar.update(self._task, completed=done)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()


def hub_progress() -> None:
    """Have huggingface_hub draw its progress on a terminal alone, and not where everything is to be quiet."""
    console = stderr()
    if console.quiet or not console.is_terminal:
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
