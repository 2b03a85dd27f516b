"""The progress of a training run on stderr: a bar on a terminal, a line for every tenth of the run elsewhere."""

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ..figures import figure
from .console import stderr

if TYPE_CHECKING:
    from ..training.progress import Progress as Report

LINES = 10


class TrainingBar:
    """A context in which `bar(report)` shows how far a run is: `ud.train(…, progress=bar)`."""

    def __init__(self, console: Console | None = None) -> None:
        console = console or stderr()
        self._console = console
        self._animated = console.is_terminal and not console.is_dumb_terminal
        columns = (
            TextColumn("{task.description:<10}"),
            BarColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
        )
        self._bar = Progress(*columns, console=console, disable=not self._animated)
        self._task = self._bar.add_task("reading", total=None, numbers="")
        self._printed: tuple[str, int] | None = None

    def __enter__(self) -> "TrainingBar":
        self._bar.start()
        return self

    def __call__(self, report: "Report") -> None:
        if report.note:
            self._console.print(f"note: {report.note}", markup=False, soft_wrap=True)
            return
        numbers = describe(report)
        self._bar.update(
            self._task, description=report.phase, completed=report.step, total=report.steps or None, numbers=numbers
        )
        tenth = report.step * LINES // report.steps if report.steps else 0
        if not self._animated and report.phase != "validating" and (report.phase, tenth) != self._printed:
            self._printed = (report.phase, tenth)
            self._console.print(f"{report.phase}  {numbers}".rstrip(), markup=False, soft_wrap=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()


def describe(report: "Report") -> str:
    """`1,200/3,000  loss 2.41 bits/byte  held out 2.52  0:41 left`; what is not known yet is left out."""
    parts = [f"{report.step:,}/{report.steps:,}"] if report.steps else []
    if report.phase == "tokenizing":
        parts = [f"{report.step / 1e6:.1f}/{report.steps / 1e6:.1f} MB of text"]
    if report.bits_per_byte is not None:
        parts.append(f"loss {figure(report.bits_per_byte, 2)} bits/byte{'' if report.loss_is_bound else ' (no bound)'}")
    if report.validation_bits_per_byte is not None:
        parts.append(f"held out {figure(report.validation_bits_per_byte, 2)}")
    if report.seconds is not None:
        minutes, seconds = divmod(round(report.seconds), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    return "  ".join(parts)
