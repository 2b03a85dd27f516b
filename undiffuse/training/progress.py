"""What a run tells whoever watches it, and how it is stopped."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Literal

Phase = Literal["reading", "tokenizing", "measuring", "training", "validating", "reporting"]


@dataclass(frozen=True)
class Progress:
    """`step` of `steps` are done (bytes of text, for a tokenizer), and about `seconds` are left at their pace so far.

    `bits_per_byte` is the loss in the last line of metrics, which bounds −ln p only where `loss_is_bound`;
    `validation_bits_per_byte` is the last bound on held-out text. None: not yet known.
    A `note` says what whoever started the run may not have meant.
    """

    phase: Phase
    step: int = 0
    steps: int = 0
    seconds: float | None = None
    bits_per_byte: float | None = None
    validation_bits_per_byte: float | None = None
    loss_is_bound: bool = True
    note: str = ""


Watcher = Callable[[Progress], None]


def unwatched(progress: Progress) -> None:
    """For runs that nobody watches."""


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Within the block, Ctrl-C does not raise but makes the given function true; a second one raises as usual.

    Only the main thread receives signals: elsewhere the function stays false.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
