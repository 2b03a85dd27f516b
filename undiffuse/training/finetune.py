"""Supervised fine-tuning: a run that starts from a model, reads prompts and learns their answers."""

from collections.abc import Collection, Sequence
from pathlib import Path

import torch

from ..device import AUTO
from ..language_model.arguments import whole
from .answers import AUTO as OWN
from .progress import Watcher, unwatched
from .run import Run, train

RECIPE = "sft"


def finetune(
    model: str | Path,
    files: Sequence[str | Path] | str | Path,
    *,
    out: str | Path | None = None,
    revision: str | None = None,
    recipe: str | Path = RECIPE,
    minutes: float | None = None,
    steps: int | None = None,
    valid: str | Path | None = None,
    seed: int = 0,
    lora: int | None = None,
    template: str | Path = OWN,
    overrides: Sequence[str] = (),
    plugins: Collection[str] = (),
    device: str | torch.device | None = AUTO,
    dtype: str | torch.dtype | None = None,
    threads: int | None = None,
    progress: Watcher = unwatched,
) -> Run:
    """Fine-tunes a `model` (a name, a run, a public checkpoint, an id of Hugging Face) on prompts and their answers.

    The files are JSONL: "prompt" and "response", "messages" of several turns, ShareGPT's "conversations" or Alpaca's
    "instruction" and "output"; texts without prompts are learned whole. Prompts are never noised, and what is learned
    are the responses, written as the model's chat template writes them if it has one (`template`: see `train`). A tenth
    is held out, unless `valid` names other text. Everything else is as in `train`, which does the work; `resume` goes
    on with a fine-tune too.

    With `lora` the weights stay, and updates of that rank are learned beside them; the run directory holds an adapter
    in peft's files that names its base, and opens as both together. AdamW's learning rate is 0.3 / width where nobody
    names one, and twice that for updates. UserError as in `train`.
    """
    if lora is not None:
        overrides = (f"lora.rank={whole('lora', lora)}", *overrides)
    return train(
        files,
        out=out,
        start=model,
        revision=revision,
        recipe=recipe,
        minutes=minutes,
        steps=steps,
        valid=valid,
        seed=seed,
        overrides=overrides,
        template=template,
        plugins=plugins,
        device=device,
        dtype=dtype,
        threads=threads,
        progress=progress,
    )
