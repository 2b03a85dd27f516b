"""What drawing tokens costs beside the network that gives their probabilities.

python -m benchmarks.drawing [threads]
"""

import sys

import torch

from undiffuse.models.transformer import Transformer
from undiffuse.randomness import Draws, draw_categorical
from undiffuse.types import Rows, State, Tags

from .network import batch_of, config
from .report import seconds, write

CONTEXT, ROWS = 128, 8


def measured(vocabulary: int) -> dict[str, float]:
    """One line of the table."""
    network = config("3M", vocabulary, CONTEXT)
    model, batch = Transformer(network).bfloat16(), batch_of(network, ROWS)
    tags = Tags(batch.positions)
    sites = ROWS * CONTEXT // 2
    logits = 3 * torch.randn(sites, vocabulary)
    probabilities, draws = logits.softmax(-1), Draws.seeded(0).along(sites)

    def forward() -> torch.Tensor:
        hidden = model.trunk(Rows(State(batch.ids), tags))
        return model.head(hidden.flatten(0, 1)[:sites])

    network_time = seconds(forward)
    draw_time = seconds(lambda: draw_categorical(probabilities, draws))
    return {
        "vocabulary": vocabulary,
        "sites": sites,
        "network, ms": 1e3 * network_time,
        "softmax, ms": 1e3 * seconds(lambda: logits.softmax(-1)),
        "draw, ms": 1e3 * draw_time,
        "torch.multinomial, ms": 1e3 * seconds(lambda: torch.multinomial(probabilities, 1)),
        "draw / network": draw_time / network_time,
    }


@torch.no_grad()
def main(threads: int) -> None:
    torch.set_num_threads(threads)
    definition = (
        f"The 3M network over {ROWS} rows of {CONTEXT} in bfloat16 with its head at half of the positions, and one "
        "token drawn at each of those from float32 probabilities. The probabilities' softmax is given apart."
    )
    write("drawing", definition, threads, [measured(vocabulary) for vocabulary in (256, 1024, 4096, 16384)])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
