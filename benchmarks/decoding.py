"""Caches and head alone: the same tokens in the same order as the plain loop, one a step, at another cost.

python -m benchmarks.decoding RUN [rounds] [requests] [dtype] [caches]

RUN is a run directory of `undiffuse train` with a context of 320 or more; results/decoding.md says which command made
the one that was measured.
"""

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

import undiffuse as ud
from undiffuse.decode.caches.cache import CachePolicy
from undiffuse.decode.canvas import Canvas, start
from undiffuse.decode.decoder import Decoder
from undiffuse.decode.fidelity import fidelity
from undiffuse.decode.loop import walk
from undiffuse.decode.strategies.confidence import Confidence
from undiffuse.kinds import CACHES
from undiffuse.models.transformer import Transformer
from undiffuse.predictor import Predictor
from undiffuse.study.frontier import held_out

from .baseline import Forward, Found, decode_block, forward_of, generate
from .counting import FLOPS, Count, counted, parameters, timed
from .replay import Replay
from .report import median_of_ratios, write

PROMPT, NEW, BLOCK = 64, 256, 32
LENGTH = PROMPT + NEW
CACHED = ("none", "prefix", "dual", "dllm")
DEFINITION = (
    f"{NEW} new tokens after prompts of {PROMPT} held-out ones, in blocks of {BLOCK}, one token a step. The baseline "
    "is a plain loop that does what LLaDA's generate does (full pass, logits and softmax at all positions). All others "
    "write its tokens in its order, through the whole decoding loop; `none` has no cache and saves the head alone. "
    "`faster`: blocks of the same text in turns, in one process; median over blocks with 95 % bootstrap interval. "
    "`passes`: time of a step in full passes of trunk and head at all positions. `outside`: share of the time outside "
    "the network's trunk and head. `KL` and `flips`: against exact logits at the pending positions of the block, nats "
    "per position and share of changed argmaxes. Work is per new token, by counters in the network. " + FLOPS
)


@dataclass(frozen=True, eq=False)
class Text:
    """What is decoded, and how the baseline decided it."""

    predictor: Predictor
    forward: Forward
    found: Found
    mask: int

    @classmethod
    def of(cls, model: ud.LanguageModel, requests: int) -> "Text":
        """Prompts evenly spread over the held-out text of the run, continued by the baseline."""
        ids = model.tokenizer.encode(held_out(Path(model.name))[0])
        starts = [place * (len(ids) - PROMPT) // requests for place in range(requests)]
        mask, plain = model.predictor.process.vocabulary.mask, forward_of(model.predictor)
        assert mask is not None

        def forward(z: Tensor) -> Tensor:  # as ours: special rows are no tokens of a text
            return plain(z).add_(model.predictor.excluded)

        prompts = torch.tensor([ids[place : place + PROMPT] for place in starts])
        canvas = torch.cat((prompts, torch.full((requests, NEW), mask)), dim=1)
        return cls(model.predictor, forward, generate(forward, canvas, mask, BLOCK, NEW), mask)

    def at(self, step: int) -> Tensor:
        """Ids when the decisions of the steps before this one were made."""
        return torch.where(self.found.commit_step < step, self.found.ids, self.mask)

    def canvas(self) -> Canvas:
        """Everything pending, in blocks."""
        new = torch.arange(LENGTH) >= PROMPT
        return Canvas.concatenate(
            [start(row, new, key=number, block_length=BLOCK) for number, row in enumerate(self.at(0))]
        )

    def canvases(self) -> list[Canvas]:
        """The trajectory of the baseline."""
        blank = self.canvas()
        step = torch.ones_like(blank.step)
        return [
            blank.replace(ids=self.at(s), pending=self.found.commit_step >= s, step=s * step, clock=s % BLOCK * step)
            for s in range(NEW + 1)
        ]

    def plain(self, block: int) -> Callable[[], object]:
        """One block by the baseline."""
        ids, begin = self.at(block * BLOCK), PROMPT + block * BLOCK
        fresh = Found(ids, torch.full_like(ids, -1), 0)
        return lambda: decode_block(self.forward, fresh, self.mask, begin, begin + BLOCK, BLOCK)

    def ours(self, cache: CachePolicy, block: int) -> Callable[[], object]:
        """The same decisions by our loop under a cache."""
        first = block * BLOCK
        canvas = self.canvases()[first]
        how = Decoder(Replay(self.found.ids, self.found.commit_step), cache)
        # the noise at the start, and one event per step
        return lambda: list(islice(walk(self.predictor, canvas, how), 1 + BLOCK))


@dataclass
class Measured:
    """One method: seconds of every round and their share outside the network, and the work of all."""

    seconds: list[float] = field(default_factory=list)
    outside: list[float] = field(default_factory=list)
    count: Count = field(default_factory=Count)

    def run(self, network: Transformer, action: Callable[[], object]) -> None:
        with counted(network) as count, timed(network) as watch:
            began = time.perf_counter()
            action()
            self.seconds.append(time.perf_counter() - began)
        self.outside.append(1 - watch.seconds / self.seconds[-1])
        self.count = self.count + count


def measured(text: Text, caches: Sequence[str], rounds: int) -> dict[str, Measured]:
    """Every method on the same blocks in turns; `pass` is one full pass of trunk and head at all positions."""
    network = text.predictor.denoiser
    assert isinstance(network, Transformer)
    found = {name: Measured() for name in ("pass", "baseline", *caches)}
    for round_ in range(-1, rounds):
        block = max(round_, 0) * (NEW // BLOCK) // rounds  # evenly over the text, each as often as the others
        ids = text.at(block * BLOCK)
        actions: dict[str, Callable[[], object]] = {
            "pass": lambda ids=ids: text.forward(ids),
            "baseline": text.plain(block),
            **{name: text.ours(CACHES.load(name)(), block) for name in caches},
        }
        for name, action in actions.items():
            if round_ < 0:
                action()  # warms up
            else:
                found[name].run(network, action)
    return found


def line(text: Text, name: str, found: Mapping[str, Measured]) -> dict[str, object]:
    """One method beside the baseline."""
    network = text.predictor.denoiser
    assert isinstance(network, Transformer)
    mine, base, one = found[name], found["baseline"], found["pass"]
    tokens = len(mine.seconds) * BLOCK * len(text.found.ids)
    ratio, low, high = median_of_ratios(base.seconds, mine.seconds)
    row: dict[str, object] = {
        "method": name,
        "faster": ratio,
        "interval": f"{low:.2f}-{high:.2f}",
        "passes": statistics.median(m / o for m, o in zip(mine.seconds, one.seconds, strict=True)) / BLOCK,
        "outside": statistics.median(mine.outside),
        "NFE": mine.count.passes * len(text.found.ids) / tokens,
        "rows": mine.count.rows / tokens,
        "head rows": mine.count.read / tokens,
        "GFLOPs": mine.count.flops(network.config, LENGTH) / tokens / 1e9,
        "KL": 0.0,
        "flips": 0.0,
        "rounds": len(mine.seconds),
    }
    if name not in ("baseline", "none"):
        true = fidelity(text.predictor, text.canvases(), Confidence(), CACHES.load(name)())
        row |= {"KL": true.mean_kl, "flips": true.flip_share}
    return row


def main(run: Path, rounds: int, requests: int, dtype: str, caches: Sequence[str]) -> None:
    torch.set_num_threads(1)
    model = ud.load(run, dtype=getattr(torch, dtype))
    network = model.predictor.denoiser
    assert isinstance(network, Transformer)
    with torch.no_grad():
        text = Text.of(model, requests)
        found = measured(text, caches, rounds)
        rows = [line(text, name, found) for name in ("baseline", *caches)]
    about = (
        f"{DEFINITION} Network: {parameters(network) / 1e6:.1f} million weights, vocabulary {network.config.rows}, "
        f"{dtype}, trained on tinyshakespeare; {requests} request{'s' * (requests > 1)} at once."
    )
    write(f"decoding_{requests}_{dtype}", about, 1, rows, script="decoding")


if __name__ == "__main__":
    given = sys.argv[2:]
    main(
        Path(sys.argv[1]),
        int(given[0]) if given else 16,
        int(given[1]) if given[1:] else 1,
        given[2] if given[2:] else "float32",
        given[3].split(",") if given[3:] else CACHED,
    )
