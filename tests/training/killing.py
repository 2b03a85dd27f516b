"""Runs that are killed (SIGKILL, no clean-up) at given moments, then resumed to their end; prints what they ended in.

A program of its own, `killing.py FOLDER MOMENTS`: it forks, which is safe only where no library has started threads.
MOMENTS is a JSON list of [checkpoint_seconds, what, when]: killed when the phase `what` is reported for step `when`,
at flush number `when` to the disk if `what` is "flush", or `when` seconds after the start if it is "time". The first
outcome is that of a run that nobody killed.
"""

import hashlib
import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from tiny import SETTINGS, STEPS, write_text

from undiffuse.training.progress import Progress
from undiffuse.training.run import resume, train


def in_child(work: Callable[[], object]) -> bool:
    """Whether the work was killed; an error of its own ends this program."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    if status and not os.WIFSIGNALED(status):
        sys.exit(f"a run failed with status {status}")
    return bool(status)


def run_until(out: Path, text: Path, seconds: float, what: str, when: float) -> None:
    flushes = 0
    flush = os.fsync

    def counted(descriptor: int) -> None:
        nonlocal flushes
        flushes += 1
        if what == "flush" and flushes == when:
            os.kill(os.getpid(), signal.SIGKILL)
        flush(descriptor)

    def watch(report: Progress) -> None:
        if (report.phase, report.step) == (what, when):
            os.kill(os.getpid(), signal.SIGKILL)

    os.fsync = counted
    if what == "time":
        signal.setitimer(signal.ITIMER_REAL, when)  # its signal ends the process, and nothing handles it
    settings = (*SETTINGS, f"training.checkpoint_seconds={seconds}")
    train(text, out=out, steps=STEPS, overrides=settings, threads=1, progress=watch)


def result(out: Path) -> list[str]:
    """Digests of the weights, and of the metrics without what a clock measured."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    untimed = json.dumps([{name: value for name, value in line.items() if name != "time"} for line in lines])
    return [
        hashlib.sha256(content).hexdigest() for content in ((out / "model.safetensors").read_bytes(), untimed.encode())
    ]


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    text = write_text(folder / "text.txt")
    train(text, out=folder / "whole", steps=STEPS, overrides=SETTINGS, threads=1)
    outcomes = [result(folder / "whole")]
    for number, (seconds, what, when) in enumerate(json.loads(sys.argv[2])):
        out = folder / str(number)
        killed = in_child(partial(run_until, out, text, seconds, what, when))
        began = out.exists()
        if killed and began:
            in_child(partial(resume, out))
        outcomes.append({"killed": killed, "began": began, "result": result(out) if began else None})
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main()
