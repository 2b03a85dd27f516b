"""What fine-tuning makes of two models: sums in one wording, and word problems with their working.

python -m benchmarks.finetuning sums FOLDER [SEEDS]    the bundled model, whole and by updates; exact matches
python -m benchmarks.finetuning gsm8k FOLDER FILE      SmolLM2-135M on problems of GSM8K; perplexity of held-out answers
python -m benchmarks.finetuning table FOLDER           writes the result file

FOLDER keeps the runs and what was measured of each: what is there already is not made again. A run that was stopped
goes on. Steps are counted, and no clock is looked at.
"""

import json
import random
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from undiffuse.evaluate.infill import Accuracy
from undiffuse.language_model import LanguageModel
from undiffuse.training.finetune import finetune
from undiffuse.training.run import Run, resume

from .report import write

LEARNED, ASKED = 4000, 300
STEPS: Mapping[str, int] = {"sums": 3500, "gsm8k": 60}
WAYS: Mapping[str, int | None] = {"all weights": None, "updates of rank 16": 16}
PROBLEMS, HELD_OUT = 400, 40
DEFINITION = (
    f"Sums: {LEARNED} sums of two numbers below 100 in one wording (What is 41 + 35?), learned by the bundled model "
    f"(1.6 million weights, masked) for {STEPS['sums']} steps of recipe `sft`; {ASKED} other sums, temperature 0, "
    "right if the text is; 95 % (Wilson). GSM8K: the first "
    f"{PROBLEMS} problems of its training part, {HELD_OUT} more held out, learned by SmolLM2-135M-Instruct (causal; "
    f"its four-bit weights, read as float32) for {STEPS['gsm8k']} steps; perplexity per token of held-out answers, "
    "working included, written by its chat template, before and after. Rates are 0.3 / width, and twice that for "
    "updates; one thread."
)


def pairs(draw: random.Random) -> list[dict[str, str]]:
    """Every sum once, shuffled."""
    every = [(a, b) for a in range(100) for b in range(100)]
    draw.shuffle(every)
    return [{"prompt": f"What is {a} + {b}?", "response": f" {a + b}"} for a, b in every]


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What a file says, or what is made and then said there."""
    if not path.exists():
        path.write_text(json.dumps(make(), indent=1) + "\n")
    found: dict[str, Any] = json.loads(path.read_text())
    print(path.stem, found, flush=True)
    return found


def tuned(model: str, folder: Path, name: str, steps: int, lora: int | None, seed: int) -> Run:
    """A run, finished; gone on with where it was stopped."""
    out = folder / name
    if out.exists():
        return resume(out, threads=1)
    data = {"files": folder / f"{model}.train.jsonl", "valid": folder / f"{model}.valid.jsonl"}
    return finetune(model, out=out, steps=steps, lora=lora, seed=seed, threads=1, **data)


def lines(path: Path, records: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def sums(folder: Path, seeds: int) -> None:
    every = pairs(random.Random(0))
    asked = every[LEARNED : LEARNED + ASKED]
    lines(folder / "world.train.jsonl", every[:LEARNED])
    lines(folder / "world.valid.jsonl", asked)
    for seed in range(seeds):
        for number, (way, lora) in enumerate(WAYS.items()):

            def measured(way: str = way, lora: int | None = lora, seed: int = seed, number: int = number) -> dict:
                run = tuned("world", folder, f"run-sums-{number}-{seed}", STEPS["sums"], lora, seed)
                return {"task": "sums", "way": way, "seed": seed, "right": right(run.model, asked), **facts(run)}

            kept(folder / f"sums-{number}-{seed}.json", measured)


def right(model: LanguageModel, asked: list[dict[str, str]]) -> int:
    texts = model.generate([each["prompt"] for each in asked], temperature=0.0)
    return sum(text[0].text == each["prompt"] + each["response"] for text, each in zip(texts, asked, strict=True))


def gsm8k(folder: Path, file: Path) -> None:
    with file.open(encoding="utf-8") as opened:
        records = [json.loads(next(opened)) for _ in range(PROBLEMS + HELD_OUT)]
    lines(folder / "smollm2.train.jsonl", records[:PROBLEMS])
    lines(folder / "smollm2.valid.jsonl", records[PROBLEMS:])
    for number, (way, lora) in enumerate(WAYS.items()):

        def measured(way: str = way, lora: int | None = lora, number: int = number) -> dict[str, Any]:
            run = tuned("smollm2", folder, f"run-gsm8k-{number}", STEPS["gsm8k"], lora, 0)
            return {"task": "gsm8k", "way": way, "seed": 0, **facts(run)}

        kept(folder / f"gsm8k-{number}.json", measured)


def facts(run: Run) -> dict[str, Any]:
    training = run.model.manifest["training"]
    return {"perplexity": training["perplexity"], "seconds": training["seconds"], "tokens": training["tokens"]}


def table(folder: Path) -> None:
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    rows = []
    for task in STEPS:
        for way in WAYS:
            mine = [each for each in found if (each["task"], each["way"]) == (task, way)]
            if not mine:
                continue
            score = Accuracy(sum(each.get("right", 0) for each in mine), ASKED * len(mine))
            low, high = score.interval
            before, after = ([each["perplexity"][name] for each in mine] for name in ("before", "after"))
            rows.append(
                {
                    "task": task,
                    "trained": way,
                    "seeds": len(mine),
                    "right": f"{100 * score.share:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
                    if task == "sums"
                    else "",
                    "by seed": ", ".join(f"{100 * each['right'] / ASKED:.1f} %" for each in mine if "right" in each),
                    "perplexity before": ", ".join(f"{value:.3g}" for value in before),
                    "after": ", ".join(f"{value:.3g}" for value in after),
                    "tokens": f"{mine[0]['tokens'] / 1e6:.2f} M",
                }
            )
    write("finetuning", DEFINITION, 1, rows)


if __name__ == "__main__":
    torch.set_num_threads(1)
    what, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    match what:
        case "sums":
            sums(folder, int(sys.argv[3]) if len(sys.argv) > 3 else 1)
        case "gsm8k":
            gsm8k(folder, Path(sys.argv[3]))
        case _:
            table(folder)
