"""Whether a step takes longer here than at the base: both sides in turns, one at a time."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from subprocess import Popen

from .compare import Report
from .sides import Side

WORKER = Path(__file__).with_name("worker.py")
BURSTS = {
    "training step": ("train", "go"),
    "confidence step": ("decode", "confidence"),
    "ancestral step": ("decode", "ancestral"),
}
LIMIT = 1.03


def measured(base: Side, here: Side, rounds: int) -> dict[str, list[float]]:
    """Seconds here over seconds at the base, of each kind of step in each round. The first round warms up."""
    with ExitStack() as stack:
        workers = {
            (side, kind): stack.enter_context(_worker(side, kind))
            for side in (base, here)
            for kind in ("train", "decode")
        }
        ratios: dict[str, list[float]] = {name: [] for name in BURSTS}
        for number in range(rounds + 1):
            turns = (base, here) if number % 2 else (here, base)
            for name, (kind, order) in BURSTS.items():
                spent = {side: _burst(workers[side, kind], order) for side in turns}
                if number:
                    ratios[name].append(spent[here] / spent[base])
    return ratios


@contextmanager
def _worker(side: Side, kind: str) -> Iterator[Popen[str]]:
    with side.start(WORKER, kind) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()  # it then ends, and takes its files along


def _burst(worker: Popen[str], order: str) -> float:
    assert worker.stdin is not None
    assert worker.stdout is not None
    worker.stdin.write(order + "\n")
    worker.stdin.flush()
    return float(worker.stdout.readline())


def interval(ratios: Sequence[float]) -> tuple[float, float, float]:
    """The middle of two or more ratios, and its 95 % interval, by Wilcoxon's signed ranks (Hodges & Lehmann 1963).

    A round that another process disturbed is off by a tenth and more: ranks do not mind by how much. Of so few rounds
    that ranks have no such interval it is all that was seen.
    """
    logs = [math.log(ratio) for ratio in ratios]
    count = len(logs)
    pairs = sorted((logs[i] + logs[j]) / 2 for i in range(count) for j in range(i, count))
    spread = math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
    cut = max(1, math.floor(len(pairs) / 2 - 1.96 * spread)) - 1
    return math.exp(statistics.median(pairs)), math.exp(pairs[cut]), math.exp(pairs[-1 - cut])


def rounds_needed(ratios: Sequence[float]) -> int:
    """Rounds after which two sides of the same speed would be told from one that is at the limit, at this scatter."""
    _, low, high = interval(ratios)
    return max(4, math.ceil(len(ratios) * (math.log(high / low) / 2 / math.log(LIMIT)) ** 2))


def judged(ratios: Mapping[str, Sequence[float]]) -> Report:
    """The interval of every ratio must lie below the limit."""
    failures, lines = [], []
    for name, each in ratios.items():
        mean, low, high = interval(each)
        line = f"{name}: {mean:.3f} of the base's time, {low:.3f} to {high:.3f} in {len(each)} rounds"
        lines.append(line)
        if high >= LIMIT:
            verdict = "slower" if low >= LIMIT else f"undecided, at this scatter use --rounds {rounds_needed(each)}"
            failures.append(f"{line}: not below {LIMIT}: {verdict}")
    return Report(
        "speed", f"{len(ratios) - len(failures)} of {len(ratios)} steps below {LIMIT}", tuple(failures), tuple(lines)
    )
