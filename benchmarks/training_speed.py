"""Training steps of three sizes: tokens/s as a ratio to a plain float32 loop, and the share of the product rate.

python -m benchmarks.training_speed [threads]
"""

import statistics
import sys

import torch

from undiffuse.training.allocator import keep_freed_memory

from .network import FLOPS, SIZES, config, flops, library_parts, plain_step
from .report import interleaved, seconds, write

CONTEXT, TOKENS, VOCABULARY, ROUNDS = 128, 4096, 1024, 15


def product_rate(width: int, tokens: int) -> float:
    """FLOP/s of the network's largest product, x[tokens, D] · W[D, 4 D], in bfloat16."""
    x = torch.randn(tokens, width, dtype=torch.bfloat16)
    weight = torch.randn(4 * width, width, dtype=torch.bfloat16)
    return 2 * tokens * width * 4 * width / seconds(lambda: torch.nn.functional.linear(x, weight))


def main(threads: int) -> None:
    torch.set_num_threads(threads)
    keep_freed_memory()  # both loops run in this process, so both gain by it
    table = []
    for size in SIZES:
        network, rows = config(size, VOCABULARY, CONTEXT), TOKENS // CONTEXT
        before = product_rate(network.width, TOKENS)
        gradient, move = library_parts(network, rows)
        forward_backward, update, plain = interleaved([gradient, move, plain_step(network, rows)], ROUNDS)
        ours = [g + u for g, u in zip(forward_backward, update, strict=True)]
        rate = (before + product_rate(network.width, TOKENS)) / 2
        ratios = sorted(p / o for p, o in zip(plain, ours, strict=True))
        work = flops(network, rows)
        table.append(
            {
                "size": size,
                "width": network.width,
                "depth": network.depth,
                "tokens/s": round(TOKENS / statistics.median(ours)),
                "plain float32 tokens/s": round(TOKENS / statistics.median(plain)),
                "ratio": statistics.median(ratios),
                "ratio, quartiles": f"{ratios[ROUNDS // 4]:.2f}-{ratios[-1 - ROUNDS // 4]:.2f}",
                "GFLOP/s": work / statistics.median(forward_backward) / 1e9,
                "bfloat16 product GFLOP/s": rate / 1e9,
                "share": work / statistics.median(forward_backward) / rate,
                "share with optimizer": work / statistics.median(ours) / rate,
            }
        )
    definition = (
        f"{TOKENS} tokens per step in rows of {CONTEXT}, vocabulary {VOCABULARY}; {ROUNDS} steps of each loop in "
        f"turns, in one process; medians. Tokens/s and ratio include the optimizer's step. {FLOPS} The rate is that of "
        f"x[{TOKENS}, D]·W[D, 4D]."
    )
    write("training_speed", definition, threads, table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
