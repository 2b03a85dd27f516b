"""What a decoding step costs besides the network: strategies, canvas, constraint, events.

python -m benchmarks.decoding_step [threads]
"""

import sys
import time

import torch

from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.decoder import Decoder
from undiffuse.decode.loop import walk
from undiffuse.decode.proposal import Filters
from undiffuse.decode.whole_text import Span, WholeText
from undiffuse.kinds import STRATEGIES
from undiffuse.models.base import Denoiser
from undiffuse.models.traits import Traits
from undiffuse.models.transformer import Transformer
from undiffuse.predictor import Predictor
from undiffuse.process.destinations.mask import Mask
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.schedules.one_minus_t import OneMinusT
from undiffuse.text.utf8 import HoleText
from undiffuse.vocabulary import Vocabulary

from .network import config
from .report import write

CONTEXT, VOCABULARY, STEPS = 128, 1024, 16
DEFINITION = (
    f"Decoding {CONTEXT} positions in {STEPS} steps from noise at temperature 1, vocabulary {VOCABULARY}, random "
    "weights, float32, under the constraint of whole characters. `outside` is the share of the time that is spent "
    "outside the network's trunk and head; the goal is below a tenth."
)


class Timed(Denoiser):
    """A network that adds up its own time."""

    def __init__(self, network: Transformer) -> None:
        self.network, self.seconds = network, 0.0

    @property
    def traits(self) -> Traits:
        return self.network.traits

    def trunk(self, *arguments: object) -> torch.Tensor:  # type: ignore[override]
        return self._add(self.network.trunk, *arguments)

    def head(self, *arguments: object) -> torch.Tensor:  # type: ignore[override]
        return self._add(self.network.head, *arguments)

    def _add(self, part, *arguments: object) -> torch.Tensor:  # type: ignore[no-untyped-def]
        began = time.perf_counter()
        result = part(*arguments)
        self.seconds += time.perf_counter() - began
        return result


@torch.no_grad()
def measured(size: str, requests: int, kind: str) -> dict[str, object]:
    """One line of the table: the better of two decodings, after one that warms up."""
    network = Timed(Transformer(config(size, VOCABULARY, CONTEXT)).eval())
    torch.nn.init.normal_(network.network.unembedding.weight, std=0.02)
    process = Interpolating(Vocabulary(VOCABULARY, mask=VOCABULARY - 1), OneMinusT(), Mask())
    predictor = Predictor(network, process, "leave_one_out")
    strategy = STRATEGIES.load(kind)(filters=Filters(temperature=1.0))
    everything = torch.ones(CONTEXT, dtype=torch.bool)
    blank = torch.zeros(CONTEXT, dtype=torch.long)
    text = HoleText([bytes([row % 128]) for row in range(VOCABULARY)])
    constraint = WholeText([Span(row, 0, CONTEXT, text) for row in range(requests)])
    shares, steps = [], 0
    for seed in range(3):
        canvas = Canvas.concatenate([start(blank, everything, key=seed + r, steps=STEPS) for r in range(requests)])
        network.seconds, began = 0.0, time.perf_counter()
        steps = sum(1 for _ in walk(predictor, canvas, Decoder(strategy, constraint=constraint))) - 1
        total = time.perf_counter() - began
        shares.append((1 - network.seconds / total, total / steps))
    outside, per_step = min(shares[1:])
    return {
        "network": size,
        "requests": requests,
        "strategy": kind,
        "steps": steps,
        "ms per step": 1e3 * per_step,
        "outside": outside,
    }


def main(threads: int) -> None:
    torch.set_num_threads(threads)
    cases = [("3M", 1), ("3M", 8), ("10M", 1)]
    rows = [measured(*case, kind) for case in cases for kind in STRATEGIES.kinds]
    write("decoding_step", DEFINITION, threads, rows)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 2)
