"""What it saves to run the head at masked positions alone.

python -m benchmarks.gathering [threads]
"""

import statistics
import sys

import torch
from torch.nn import functional as F

from undiffuse.models.transformer import Transformer
from undiffuse.types import Rows, State, Tags

from .network import batch_of, config
from .report import interleaved, write

CONTEXT, ROWS, ROUNDS = 128, 16, 7


def measured(vocabulary: int) -> dict[str, float]:
    """One line of the table."""
    network = config("3M", vocabulary, CONTEXT)
    model, batch = Transformer(network).bfloat16(), batch_of(network, ROWS)
    tags = Tags(batch.positions)
    masked = torch.rand(batch.ids.shape) < 0.5
    target = batch.ids.masked_fill(~masked, -100)

    def trunk() -> torch.Tensor:
        return model.trunk(Rows(State(batch.ids), tags))

    def gathered() -> None:
        F.cross_entropy(model.head(trunk()[masked]).float(), batch.ids[masked]).backward()

    def everywhere() -> None:
        F.cross_entropy(model.head(trunk()).float().flatten(0, 1), target.flatten()).backward()

    some, every = map(statistics.median, interleaved([gathered, everywhere], ROUNDS))
    return {
        "vocabulary": vocabulary,
        "masked positions, ms": 1e3 * some,
        "all positions, ms": 1e3 * every,
        "saved": 1 - some / every,
    }


def main(threads: int) -> None:
    torch.set_num_threads(threads)
    definition = (
        f"Forward and backward of the 3M network in bfloat16, {ROWS} rows of {CONTEXT}, half of the positions masked; "
        f"head and loss there alone, or everywhere. Medians of {ROUNDS} in turns."
    )
    write("gathering", definition, threads, [measured(vocabulary) for vocabulary in (256, 2048, 16384)])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
