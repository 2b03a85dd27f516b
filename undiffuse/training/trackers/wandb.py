"""Weights & Biases, offline: files in `wandb/` of the run directory, which `wandb sync` sends when it is asked to."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .tracker import Tracker, Write

MODE = "WANDB_MODE"


@dataclass(frozen=True)
class WeightsAndBiases(Tracker):
    """Weights & Biases in `wandb/` of the run directory, offline unless WANDB_MODE=online is set."""

    package = "wandb"

    @contextmanager
    def writing(self, directory: Path, step: int, configuration: Mapping[str, Any]) -> Iterator[Write]:
        wandb = self.load()
        run = wandb.init(
            project="undiffuse",
            name=directory.name,
            id=hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:12],
            dir=str(directory),
            mode=os.environ.get(MODE, "offline"),
            resume="allow",
            config=dict(configuration),
        )
        try:
            yield lambda at, values: run.log(dict(values), step=at)
        finally:
            run.finish()
