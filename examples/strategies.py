"""Which decoding strategy writes text most like the held-out text? Measured on a run, with two n-grams as judges.

    python examples/strategies.py runs/demo

`fluency` is the bits per byte of the generated text under a byte n-gram of the training text: low where the text is
plausible, and lowest where it repeats the most common phrase. `coverage` is the bits per byte of held-out text under
an n-gram of the generated text: low where the text has what the language has. Their sum punishes both noise and
repetition. The last row puts pieces of training text in the place of generated text, for comparison.
"""

import argparse
import json
from pathlib import Path

import undiffuse as ud
from undiffuse.evaluate.ngram import NGram

ORDER = 4
CANDIDATES = [
    ("ancestral", {"temperature": 1.0}),
    ("ancestral", {"temperature": 0.8}),
    ("ancestral", {"temperature": 1.0, "top_p": 0.9}),
    ("random", {"temperature": 0.8}),
    ("confidence", {"temperature": 1.0}),
    ("confidence", {"temperature": 0.8}),
    ("confidence", {"temperature": 1.0, "block_length": 16}),
    ("left-to-right", {"temperature": 1.0}),
    ("left-to-right", {"temperature": 0.8}),
    ("left-to-right", {"temperature": 1.0, "top_p": 0.9}),
    ("threshold", {"temperature": 1.0}),
    ("threshold", {"temperature": 0.8, "block_length": 16}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="directory of a run")
    parser.add_argument("--samples", type=int, default=32, help="texts per strategy (default: 32)")
    arguments = parser.parse_args()
    model = ud.load(arguments.run)
    records = [json.loads(line) for line in (arguments.run / "text.jsonl").read_text().splitlines()]
    train = [record["text"].encode() for record in records if record["part"] == "train"]
    held_out = [record["text"].encode() for record in records if record["part"] == "valid"]
    judge = NGram.fit(train, ORDER)

    def show(name: str, texts: list[bytes], tokens_per_forward: str) -> None:
        fluency = judge.bits_per_byte(texts)
        coverage = NGram.fit(texts, ORDER).bits_per_byte(held_out)
        print(
            f"{name:<44} {fluency:8.3f} {coverage:9.3f} {fluency + coverage:7.3f} {tokens_per_forward:>15}", flush=True
        )

    print(f"{'strategy':<44} {'fluency':>8} {'coverage':>9} {'sum':>7} {'tokens/forward':>15}")
    size = 0
    for strategy, options in CANDIDATES:
        found = model.generate(strategy=strategy, samples=arguments.samples, **options)
        texts = [generated.text.encode() for generated in found]
        speed = sum(g.tokens for g in found) / sum(g.nfe for g in found)
        name = " ".join([strategy, *(f"{key}={value}" for key, value in options.items())])
        show(name, texts, f"{speed:.2f}")
        size = max(size, sum(map(len, texts)))
    text = b"\n".join(train)
    half = len(text) // 2  # judged by the other half: a text must not be judged by itself
    judge = NGram.fit([text[:half]], ORDER)
    pieces = arguments.samples
    places = [half + (len(text) - half) * piece // pieces for piece in range(pieces)]
    show("training text (judged by its other half)", [text[place : place + size // pieces] for place in places], "")


if __name__ == "__main__":
    main()
