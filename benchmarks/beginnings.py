"""What it saves to keep the keys and values of a prompt that is asked again.

python -m benchmarks.beginnings [threads]
"""

import sys
import threading
import time
from itertools import count

import torch

from undiffuse.decode.canvas import Canvas
from undiffuse.kinds import build_process
from undiffuse.language_model import LanguageModel
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.predictor import Predictor
from undiffuse.serve.engine import Engine
from undiffuse.serve.job import Done, Failed, Job
from undiffuse.text.tokenizer import Tokenizer

from .report import median_of_ratios, write

PROMPT, WRITTEN, ROUNDS = 512, 16, 9
TEXT = "In the beginning there was a prompt, and it was long, and everybody sent it again. "
SPEC = {"schedule": {"kind": "one-minus-t"}, "destination": {"kind": "mask"}}


def model(**config: object) -> LanguageModel:
    """A network of 10.6 million weights in its layers, drawn at random."""
    tokenizer = Tokenizer.train([TEXT * 20], 320)
    torch.manual_seed(0)
    own = TransformerConfig(
        rows=tokenizer.vocabulary.rows,
        width=384,
        depth=6,
        heads=6,
        context=PROMPT + WRITTEN,
        **config,  # type: ignore[arg-type]
    )
    network = Transformer(own).requires_grad_(False)
    return LanguageModel(Predictor(network, build_process(SPEC, tokenizer.vocabulary), "leave_one_out"), tokenizer, {})


class First:
    """A request to an engine until its first step is told: `ask` returns then, and the request is over."""

    def __init__(self, model: LanguageModel, text: str) -> None:
        self.engine, self.model, self.text, self.numbers = Engine().start(), model, text, count()

    def ask(self) -> None:
        stepped, ended, told = threading.Event(), threading.Event(), []

        def tell(message: object) -> None:
            told.append(message)
            if isinstance(message, Done | Failed):
                stepped.set()
                ended.set()

        def watch(canvas: Canvas, part: int) -> None:
            if not bool((canvas.pending == canvas.editable).all()):
                stepped.set()

        made = lambda _: self.model.calls.generate(self.text, length=WRITTEN)  # noqa: E731
        self.engine.submit(Job(str(next(self.numbers)), made, tell, watch))
        stepped.wait()
        self.elapsed = time.perf_counter()
        ended.wait()
        assert isinstance(told[-1], Done), told[-1]


class Forgetful(First):
    """The same, of which nothing is kept."""

    def __init__(self, model: LanguageModel, text: str) -> None:
        super().__init__(model, text)
        self.engine.pages.take = lambda predictor, batch: 0  # type: ignore[method-assign]
        self.engine.pages.keep = lambda predictor, batch, rows: None  # type: ignore[method-assign]


def measured(name: str, model: LanguageModel) -> dict[str, float | str]:
    """One line of the table."""
    ids = model.tokenizer.encode(TEXT * 100)[:PROMPT]
    text = model.tokenizer.decode(ids)
    asked = [Forgetful(model, text), First(model, text)]
    times: list[list[float]] = [[], []]
    for round_ in range(ROUNDS + 1):
        for each, mine in zip(asked, times, strict=True):
            began = time.perf_counter()
            each.ask()
            if round_:  # the first keeps the pages
                mine.append(each.elapsed - began)
    for each in asked:
        each.engine.stop(5)
    middle, low, high = median_of_ratios(*times)
    before, after = (sorted(mine)[len(mine) // 2] for mine in times)
    return {
        "network": name,
        "run again, ms": 1e3 * before,
        "taken from pages, ms": 1e3 * after,
        "faster": middle,
        "interval": f"{low:.2f}-{high:.2f}",
        "found of prompt": asked[1].engine.pages.found / ROUNDS / len(model.tokenizer.context(text)),
    }


def main(threads: int) -> None:
    torch.set_num_threads(threads)
    definition = (
        f"From handing a request to the engine to its first decided token, alone there: a prompt of {PROMPT} tokens "
        f"that was asked before, {WRITTEN} tokens to write, float32, networks of 10.6 million weights (6 layers, width "
        f"384). Medians of {ROUNDS} in turns; `faster`: median of ratios with its 95 % bootstrap interval. Pages of 16 "
        "positions (causal, blocks of 4) and of 32 (blocks of 32)."
    )
    kinds = {"causal": {"causal": True}, "blocks of 4": {"block_length": 4}, "blocks of 32": {"block_length": 32}}
    write("beginnings", definition, threads, [measured(name, model(**config)) for name, config in kinds.items()])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
