"""Peak memory of training, each size in a process of its own.

python -m benchmarks.memory [threads]
"""

import resource
import subprocess
import sys

import torch

from undiffuse.training.allocator import keep_freed_memory

from .network import SIZES, config, library_parts, plain_step
from .report import write

CONTEXT, ROWS, VOCABULARY, STEPS = 128, 32, 1024, 3


def peak() -> float:
    """MiB of resident memory at its highest so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(loop: str, size: str, threads: int) -> None:
    """Run a few steps and print how far memory rose above what loading the library takes."""
    torch.set_num_threads(threads)
    before = peak()
    network = config(size, VOCABULARY, CONTEXT)
    if loop == "library":
        keep_freed_memory()
    parts = library_parts(network, ROWS) if loop == "library" else (plain_step(network, ROWS),)
    for _ in range(STEPS):
        for part in parts:
            part()
    print(peak() - before)


def child(loop: str, size: str, threads: int) -> float:
    command = [sys.executable, "-m", "benchmarks.memory", str(threads), loop, size]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(threads: int) -> None:
    table = [
        {
            "size": size,
            "library, MiB": child("library", size, threads),
            "plain float32, MiB": child("plain", size, threads),
        }
        for size in SIZES
    ]
    definition = (
        f"Rise of the resident set over {STEPS} training steps of {ROWS} rows of {CONTEXT} tokens, vocabulary "
        f"{VOCABULARY}: weights, masters, optimizer state, activations, and what the allocator keeps."
    )
    write("memory", definition, threads, table)


if __name__ == "__main__":
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    if len(sys.argv) > 2:
        measure(sys.argv[2], sys.argv[3], threads)
    else:
        main(threads)
