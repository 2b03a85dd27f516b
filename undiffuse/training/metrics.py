"""metrics.jsonl: one line of JSON per record, appended, and cut back to a checkpoint when a run resumes."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from ..durable import lock, reported
from ..errors import UserError


class MetricsFile:
    """Open for appending at a byte position; whatever lies beyond it (steps that will be repeated) is dropped.

    UserError if another process has it open: two processes must not train one run.

    What a clock measured stands under the key "time" of a record, so that two runs of the same seed agree elsewhere.
    """

    def __init__(self, path: Path, position: int = 0) -> None:
        if position > 0 and (not path.exists() or path.stat().st_size < position):
            raise UserError(f"{path} is shorter than its checkpoint says: it was edited, and the run cannot resume")
        with reported(path):
            self._file = open(path, "ab")  # noqa: SIM115 (closed by __exit__)
        try:
            lock(self._file)
        except BlockingIOError as error:
            self._file.close()
            raise UserError(f"{path} is being written by another process: that run is still going on") from error
        with reported(path):
            self._file.truncate(position)
            self._file.seek(position)
        self._path = path

    def write(self, record: Mapping[str, Any]) -> None:
        """Appends a record. UserError if the disk is full."""
        with reported(self._path):
            self._file.write(json.dumps(record).encode() + b"\n")
            self._file.flush()

    def settle(self) -> int:
        """Forces the lines to the disk; the position to resume from."""
        with reported(self._path):
            os.fsync(self._file.fileno())
        return self._file.tell()

    def __enter__(self) -> "MetricsFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with reported(self._path):
            self._file.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All records, in order."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
