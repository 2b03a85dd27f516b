"""TensorBoard: event files in `tensorboard/` of the run directory. Nothing leaves the machine."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .tracker import Tracker, Write


@dataclass(frozen=True)
class TensorBoard(Tracker):
    """Curves in `tensorboard/` of the run directory: `tensorboard --logdir runs`."""

    package = "tensorboard"

    @contextmanager
    def writing(self, directory: Path, step: int, configuration: Mapping[str, Any]) -> Iterator[Write]:
        self.load()
        from torch.utils.tensorboard import SummaryWriter

        # a resumed run repeats the steps after its checkpoint: what was written of them is hidden
        with SummaryWriter(str(directory / "tensorboard"), purge_step=step + 1 if step else None) as writer:

            def write(at: int, values: Mapping[str, float]) -> None:
                for name, value in values.items():
                    writer.add_scalar(name, value, at)

            yield write
