"""Five minutes on one megabyte: the bound beside byte n-grams, and blanks beside a filler that sees both sides.

python -m benchmarks.shakespeare TEXT [minutes] [blanks]

TEXT is tinyshakespeare (1.1 MB of plays; the last tenth is held out by `undiffuse train`). Everything is trained and
scored on the bytes that the run recorded.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch

import undiffuse as ud
from undiffuse.evaluate.infill import Blank, NGramFiller, draw_token_blanks, top1
from undiffuse.evaluate.ngram import NGram
from undiffuse.language_model import LanguageModel
from undiffuse.text.holes import Hole, Text, render

from .report import write

ORDERS = range(7)
DEFINITION = (
    "One run of `undiffuse train TEXT --minutes M`, default recipe. Bits per byte of the held-out tenth: a bound with "
    "standard error, beside the byte n-gram (Witten-Bell interpolation, base 1/256) with the best context of 0 to 6 "
    "bytes, trained and scored on the same bytes. Top-1: one hidden token in the middle of a window of the trained "
    "context; right if the answer is the hidden text, bit for bit. The n-gram filler ranks all tokens by the chance "
    "of token and right side given the left side, with the context that does best on these very blanks. Intervals are "
    "95 % (Wilson)."
)


def main(text: Path, minutes: float, count: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        ud.train([text], out=run, minutes=minutes)
        model = ud.load(run)
        records = [json.loads(line) for line in (run / "text.jsonl").read_text().splitlines()]
    train, held_out = ([record["text"] for record in records if record["part"] == part] for part in ("train", "valid"))
    rows = [*bounds(model, train, held_out), *blanks(model, train, held_out, count)]
    write("shakespeare", DEFINITION, torch.get_num_threads(), rows)


def bounds(model: LanguageModel, train: list[str], held_out: list[str]) -> list[dict[str, object]]:
    """Bits per byte of both."""
    mean, error = model.score(held_out, draws=32).bits_per_byte
    data, rest = ([text.encode() for text in texts] for texts in (train, held_out))
    best = min(ORDERS, key=lambda order: NGram.fit(data, order).bits_per_byte(rest))
    bits = NGram.fit(data, best).bits_per_byte(rest)
    return [
        row("bits per byte, model (bound)", mean, mean - 1.96 * error, mean + 1.96 * error, describe(model)),
        row("bits per byte, best n-gram", bits, bits, bits, f"{best} bytes of context"),
    ]


def blanks(model: LanguageModel, train: list[str], held_out: list[str], count: int) -> list[dict[str, object]]:
    """Top-1 accuracy of both on the same blanks."""
    tokenizer = model.tokenizer
    ids = tokenizer.encode("".join(held_out))
    drawn = draw_token_blanks(ids, count, model.context, seed=0)
    questions = [blank.spelled(tokenizer) for blank in drawn]
    data = [text.encode() for text in train]
    candidates = tuple(sorted({token for token in tokenizer.tokens if token}))
    fillers = {f"n-gram, {order} bytes": NGramFiller(NGram.fit(data, order), candidates) for order in (4, 5, 6)}
    found = top1(questions, {"model": lambda blank: answer(model, blank), **fillers})
    ours = found.pop("model")
    name, best = max(found.items(), key=lambda item: item[1].share)
    separated = "intervals separated" if ours.separated_from(best) else "intervals overlap"
    return [
        row("top-1 of blanks, model", ours.share, *ours.interval, f"{count} blanks; {separated}"),
        row("top-1 of blanks, best n-gram filler", best.share, *best.interval, name),
    ]


def answer(model: LanguageModel, blank: Blank) -> bytes:
    """What `fill` puts into one hole."""
    pieces = (blank.left.decode(), None, blank.right.decode())
    source = render([Hole(1, 1, "[MASK]") if piece is None else Text(piece) for piece in pieces if piece != ""])
    return model.fill(source, top=1)[0].holes[0].text.encode()


def row(what: str, value: float, low: float, high: float, note: str) -> dict[str, object]:
    return {"what": what, "value": value, "low": low, "high": high, "note": note}


def describe(model: LanguageModel) -> str:
    spec = model.manifest["model"]
    parameters = sum(p.numel() for p in model.predictor.denoiser.parameters())  # type: ignore[attr-defined]
    return f"{parameters / 1e6:.1f} M parameters, {spec['rows']} rows, context {spec['context']}"


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(Path(arguments[0]), float(arguments[1]) if arguments[1:] else 5.0, int(arguments[2]) if arguments[2:] else 600)
