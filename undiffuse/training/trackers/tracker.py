"""Programs that show the metrics of a run while it trains: one file each, named by `training.track`."""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from ...errors import UserError
from ...kinds import TRACKERS

Write = Callable[[int, Mapping[str, float]], None]
"""Takes the step and its numbers by name."""
NONE = "none"


class Tracker(ABC):
    """`package` is what it needs, and the name of the extra that installs it."""

    package: ClassVar[str]

    def load(self) -> Any:
        """The package. UserError if it is not installed."""
        try:
            return importlib.import_module(self.package)
        except ImportError as error:
            raise UserError(
                f"training.track={self.package} needs the package {self.package}, which is not installed: "
                f"pip install 'undiffuse[{self.package}]', or leave training.track out"
            ) from error

    @abstractmethod
    def writing(self, directory: Path, step: int, configuration: Mapping[str, Any]) -> AbstractContextManager[Write]:
        """Open for a run in `directory` that has done `step` steps; a resumed run goes on with what was written."""


def check_tracker(kind: str) -> None:
    """UserError if there is no such tracker, or its package is not installed."""
    if kind != NONE:
        TRACKERS.load(kind)().load()


@contextmanager
def tracking(
    kind: str, directory: Path, step: int, configuration: Mapping[str, Any]
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Takes the records of metrics.jsonl; for the kind `none` it does nothing with them."""
    if kind == NONE:
        yield lambda record: None
        return
    with TRACKERS.load(kind)().writing(directory, step, configuration) as write:
        yield lambda record: write(record["step"], numbers(record))


def numbers(record: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The numbers of a record but its step, by their path: `validation/bits_per_byte/mean`, `buckets/0`."""
    found: dict[str, float] = {}
    for name, value in record.items():
        if isinstance(value, list):
            value = dict(enumerate(value))
        if isinstance(value, Mapping):
            found |= numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float) and prefix + str(name) != "step":
            found[f"{prefix}{name}"] = value
    return found
