"""A side's process that trains or decodes in bursts, one for each line on stdin; between them it waits.

worker.py train | worker.py decode, with the side's root as working directory and on PYTHONPATH. Prints the seconds per
step that the processor spent on each burst; other processes disturb that less than the time on the wall.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from probe import generated

STEPS = {"train": 10, "decode": 16}
ROWS, LENGTH = 8, 128
SIZES = (
    "tokenizer.size=1024",
    "model.width=128",
    "model.depth=4",
    f"model.context={LENGTH}",
    f"training.rows={ROWS}",
    "training.validations=1",
    "training.windows=1",
    "training.checkpoint_seconds=30.0",
)


def trained(directory: str, steps: int, **options: Any) -> Any:
    import undiffuse as ud

    text = Path(directory, "text.txt")
    text.write_text(generated(30_000), encoding="utf-8")
    return ud.train([text], out=Path(directory, "run"), steps=steps, overrides=SIZES, threads=1, **options).model


class Bursts:
    """Watches a training run: lets it go on for as long as a burst is asked for."""

    def __init__(self) -> None:
        self.left, self.began = 0, 0.0

    def __call__(self, progress: Any) -> None:
        if progress.phase != "training":
            return
        if self.left == STEPS["train"]:  # the step before, with what a pause brings along, is not measured
            self.began = time.process_time()
        self.left -= 1
        if self.left < 0:
            if self.began:
                print((time.process_time() - self.began) / STEPS["train"], flush=True)
            if not sys.stdin.readline():
                sys.exit()
            self.left = STEPS["train"]


def train() -> None:
    with tempfile.TemporaryDirectory() as directory:
        trained(directory, 1_000_000, progress=Bursts())


def decode() -> None:
    with tempfile.TemporaryDirectory() as directory:
        model = trained(directory, 1)
        for line in sys.stdin:
            options = {"strategy": line.strip(), "length": LENGTH}
            model.decode([[]] * ROWS, steps=2, **options)
            began = time.process_time()
            found = model.decode([[]] * ROWS, steps=STEPS["decode"], **options)
            print((time.process_time() - began) / int(found.nfe.max()), flush=True)


if __name__ == "__main__":
    {"train": train, "decode": decode}[sys.argv[1]]()
