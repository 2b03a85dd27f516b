"""How a model of English from scratch comes along: bound and blanks on held-out works, beside n-grams of the same text.

python -m benchmarks.stories points RUN FILE       adds the newest checkpoint of a run in progress to FILE
python -m benchmarks.stories ngram RUN FILE        adds the n-gram's answers to the same blanks, and its bits per byte
python -m benchmarks.stories table RUN FILE        writes the result file

RUN is that of `undiffuse train TRAINED-WORKS --valid HELD-OUT-WORKS --recipe stories`. Points are the averaged weights
of a checkpoint; blanks are single tokens in the middle of a window of the trained context, the same ones for all.
"""

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from undiffuse.data.packing import Dataset
from undiffuse.evaluate.blanks import answers
from undiffuse.evaluate.infill import Accuracy, NGramFiller, TokenBlank, draw_token_blanks
from undiffuse.evaluate.ngram import NGram
from undiffuse.language_model import LanguageModel
from undiffuse.likelihood.bound import bound
from undiffuse.training.assembly import network_of, predictor_of
from undiffuse.training.checkpoint import load_latest
from undiffuse.training.run_directory import RunDirectory
from undiffuse.training.validation import take

from .report import write

BLANKS, WINDOWS, ORDER, COARSE = 600, 256, 6, 3
SHORTLIST = 1024
"""Candidates that the n-gram of short contexts leaves to the long one: all of 8192 would take hours."""
HELD_OUT = (
    "Bly, Ten Days in a Mad-House; Dickens, A Christmas Carol; London, The Call of the Wild; Long, Home Geography for "
    "Primary Grades; Wilde, The Happy Prince"
)
DEFINITION = (
    "One run of the recipe `stories` (8.9 million weights, vocabulary 8192, context 128) on 133 of the 138 works of a "
    f"collection of public-domain English; held out are {HELD_OUT}. Bits per byte: bound with standard error on "
    "256 windows of the held-out works. Top-1: 600 single tokens in the middle of a window of 128, right if the "
    "answer is the hidden text, bit for bit; intervals are 95 % (Wilson). The n-gram (Witten-Bell, contexts of up to "
    "6 bytes, the same training text) ranks tokens by the chance of token and right side given the left side, of all "
    "tokens the 1024 that contexts of 3 bytes rank first."
)


def blanks(run: RunDirectory) -> list[TokenBlank]:
    tokenizer = run.tokenizer()
    assert tokenizer is not None
    ids = tokenizer.encode("".join(document.text for document in run.text[1].documents))
    return list(draw_token_blanks(ids, BLANKS, 128, seed=0))


def point(run: RunDirectory) -> dict[str, Any]:
    """Bound and top-1 of the newest checkpoint."""
    plan, tokenizer, found = run.plan(), run.tokenizer(), load_latest(run.checkpoints)
    assert plan is not None
    assert tokenizer is not None
    assert found is not None
    network = network_of(plan.configuration, tokenizer, 0)
    prefix = "average."
    take(network, {k.removeprefix(prefix): v for k, v in found.tensors.items() if k.startswith(prefix)})
    network.eval().requires_grad_(False)
    predictor = predictor_of(plan.configuration, tokenizer, network)
    model = LanguageModel(predictor, tokenizer, {"training": {}}, name=str(run.path))
    context = plan.configuration.context
    held_out = Dataset.of(run.text[1], tokenizer, context, 0)
    text, sizes = next(held_out.consecutive(held_out.rows + 1))
    chosen = torch.arange(WINDOWS) * len(text.ids) // WINDOWS
    part = text.rows(chosen).at(slot=torch.arange(WINDOWS))
    mean, error = bound(predictor, part, draws=4, seed=0).per(math.log(2) * int(sizes[chosen].sum()))
    asked = blanks(run)
    named = answers(model, asked)
    truth = [blank.ids[blank.position] for blank in asked]
    right = sum(tokenizer.token_bytes(a) == tokenizer.token_bytes(b) for a, b in zip(named, truth, strict=True))
    tokens = found.step * int(plan.configuration.training.rows) * context
    return {"step": found.step, "seconds": found.facts["seconds"], "tokens": tokens, "bits": mean, "error": error,
            "right": right, "asked": len(asked)}  # fmt: skip


def ngram(run: RunDirectory) -> dict[str, Any]:
    """Its answers to the same blanks, and its bits per byte."""
    tokenizer = run.tokenizer()
    assert tokenizer is not None
    train, valid = ([document.text.encode() for document in corpus.documents] for corpus in run.text)
    model = NGram.fit(train, ORDER)
    candidates = tuple(sorted({token for token in tokenizer.tokens if token}))
    coarse = NGramFiller(NGram(model.levels[: COARSE + 1]), candidates)
    right = 0
    for blank in blanks(run):
        spelled = blank.spelled(tokenizer)
        scores = torch.from_numpy(coarse.scores(spelled.left, spelled.right))
        kept = tuple(candidates[i] for i in scores.topk(SHORTLIST).indices.tolist())
        right += NGramFiller(model, kept)(spelled) == spelled.truth
    bits = {order: model.bits_per_byte(valid, order) for order in range(3, ORDER + 1)}
    best = min(bits, key=bits.__getitem__)
    return {"ngram": True, "order": best, "bits": bits[best], "right": right, "asked": BLANKS}


def table(points: Sequence[dict[str, Any]]) -> None:
    rows = []
    for each in sorted(points, key=lambda each: each.get("step", math.inf)):
        accuracy = Accuracy(each["right"], each["asked"])
        low, high = accuracy.interval
        rows.append(
            {
                "what": "two-sided n-gram" if "ngram" in each else f"step {each['step']:,}",
                "tokens": "57 MB of text" if "ngram" in each else f"{each['tokens'] / 1e6:.2f} M",
                "bits per byte": f"{each['bits']:.3f}" + (f" ± {each['error']:.3f}" if "error" in each else ""),
                "top-1": f"{100 * accuracy.share:.1f} %",
                "95 % interval": f"{100 * low:.1f} to {100 * high:.1f} %",
            }
        )
    write("stories", DEFINITION, 1, rows)


def main(what: str, directory: Path, file: Path) -> None:
    run = RunDirectory.open(directory)
    points = json.loads(file.read_text()) if file.exists() else []
    measures: dict[str, Callable[[RunDirectory], dict[str, Any]]] = {"points": point, "ngram": ngram}
    if what in measures:
        file.write_text(json.dumps([*points, measures[what](run)], indent=1) + "\n")
        return
    table(points)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
