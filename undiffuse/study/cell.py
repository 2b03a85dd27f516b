"""One cell of a study of processes: a trained run, measured as every other one is.

Likelihood is the bound of the held-out text that the run itself wrote. Generation continues pieces of that text and is
judged by an n-gram of the training text; repair finds planted errors; infill names hidden tokens.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import UserError
from ..evaluate.blanks import infill
from ..evaluate.generation import Quality
from ..evaluate.infill import draw_token_blanks
from ..evaluate.ngram import NGram
from ..evaluate.repair import METHODS, plant, repair
from ..kinds import OBJECTIVES
from ..language_model import LanguageModel, load
from ..language_model.defaults import default_strategy
from ..training.configuration import read_component
from ..training.metrics import read_metrics
from ..training.report import untrained
from ..training.run_directory import RunDirectory
from .frontier import Questions, held_out, measure
from .setting import Setting

QUESTIONS_SEED = 0
"""Of errors and blanks: all systems of one tokenizer are asked the same, whatever their own seed."""


@dataclass(frozen=True)
class Asked:
    """How much of what is measured. Prompts take a quarter of a model's context.

    `nfe` are numbers of evaluations of the network per generated text, `samples` and `length` the number of texts and
    their new tokens (None: the rest of the context), `blanks` hidden tokens; a `share` of the tokens of `windows`
    windows is replaced for repair, which takes `repair_steps`.
    """

    nfe: tuple[int, ...] = (4, 16, 64)
    samples: int = 32
    length: int | None = None
    blanks: int = 300
    windows: int = 16
    share: float = 0.1
    repair_steps: int = 16


def measured(run: Path, scorer: NGram, asked: Asked, context: int, seed: int, device: torch.device) -> dict[str, Any]:
    """Everything of a finished run but its name; `context` is that of the study, which most systems have.

    What a system cannot do stands under "refused" with its reason, and not at its own place.
    """
    model = load(run, device=device)
    text = held_out(run)[0]
    cell: dict[str, Any] = {"training": training(run, model), "likelihood": likelihood(model)}
    seconds: dict[str, float] = {}
    refused: dict[str, str] = {}
    parts: Mapping[str, Callable[[], tuple[dict[str, Any], dict[str, str]]]] = {
        "generation": lambda: generation(model, text, scorer, asked, context, seed),
        "repair": lambda: repairs(model, text, asked, seed),
        "infill": lambda: blanks(model, text, asked),
    }
    for name, part in parts.items():
        began = time.perf_counter()
        found, reasons = part()
        seconds[name] = round(time.perf_counter() - began, 2)
        cell |= found
        refused |= reasons if name in found else {name: "; ".join(dict.fromkeys(reasons.values()))}
    return cell | {"seconds": seconds, "refused": refused}


def training(run: Path, model: LanguageModel) -> dict[str, Any]:
    """What the training cost, and the bound of held-out windows on the way."""
    manifest, lines = model.manifest["training"], read_metrics(RunDirectory(run).metrics)
    timed = [(line["step"], line["time"]["seconds"]) for line in lines if "time" in line]
    steps, clock = zip((0, 0.0), *timed, strict=True)
    curve = [
        [line["step"], float(np.interp(line["step"], steps, clock)), line["validation"]["bits_per_byte"]["mean"]]
        for line in lines
        if "validation" in line
    ]
    settings = manifest["configuration"]
    return {
        "steps": manifest["step"],
        "seconds": clock[-1],
        "tokens": manifest["tokens"],
        "tokens_per_second": manifest["tokens"] / clock[-1],
        "parameters": manifest["parameters"],
        "epochs": manifest["epochs"],
        "objective": manifest["objective"]["kind"],
        "loss_is_bound": read_component(OBJECTIVES, manifest["objective"]).at(1.0).is_bound,  # what training ends on
        "shape": {name: settings["model"][name] for name in ("width", "depth", "heads", "context")}
        | {"rows": settings["training"]["rows"]},
        "tokenizer": {"kind": model.tokenizer.kind, "size": model.tokenizer.vocabulary.rows},
        "curve": curve,
    }


def likelihood(model: LanguageModel) -> dict[str, Any]:
    """Bits per byte of the held-out text under the averaged weights, and the terms of the bound in the same unit."""
    manifest = model.manifest["training"]
    bound = manifest["bound"]
    found: dict[str, Any] = {"kind": bound["kind"], "bits_per_byte": bound["bits_per_byte"]}
    if not model.predictor.traits.one_sided:
        unit = bound["tokens"] / bound["bytes"] / log(2)
        found |= {name: nats * unit for name, nats in bound["terms"].items()}
    notes = [untrained(manifest["objective"])]
    if "steps" in bound:
        notes.append(f"The bound is that of {bound['steps']} steps of noise.")
    return found | {"note": " ".join(filter(None, notes))}


def generation(
    model: LanguageModel, text: str, scorer: NGram, asked: Asked, context: int, seed: int
) -> tuple[dict[str, Any], dict[str, str]]:
    """A line per number of evaluations; one alone where they do not follow from a number of steps. And the real text.

    A network with a context of its own reads and writes as large a share of it as the others do of theirs.
    """
    prompt = model.context // 4
    length = model.context - prompt if asked.length is None else asked.length * model.context // context
    room = len(model.tokenizer.encode(text)) // (prompt + length)
    try:
        questions = Questions.of(model, text, scorer, max(1, min(asked.samples, room)), prompt, length)
    except UserError as error:
        return {}, {"generation": str(error)}
    size = {"samples": len(questions.prompts), "prompt": prompt, "length": length}
    real = asdict(questions.judge(model, questions.truth)) | size | {"order": scorer.order}
    points, refused = [], {}
    for setting in _settings(model, asked.nfe, prompt, length):
        line = measure(model, questions, setting, temperature=1.0, seed=seed)
        if "refused" in line:
            refused[f"generation, {setting.steps} steps"] = line["refused"]
            continue
        numbers = {name: line[name] for name in ("nfe", *(f.name for f in fields(Quality)))}
        points.append({"strategy": setting.strategy, "steps": setting.steps} | numbers)
    return {"text": real} | ({"generation": points} if points else {}), refused


def _settings(model: LanguageModel, nfe: tuple[int, ...], prompt: int, length: int) -> Iterator[Setting]:
    """The strategy that draws from the network, at each number of steps that it can take."""
    kind, span = default_strategy(model.predictor, drawing=True), model.predictor.traits.block_length
    if model.predictor.traits.one_sided:
        yield Setting(kind)
        return
    # under block diffusion steps are those of a block, and no more than it has tokens
    blocks = 1 if span is None else -(-(prompt + length) // span) - prompt // span
    for steps in sorted({min(max(1, each // blocks), span or each) for each in nfe}):
        yield Setting(kind, {}, steps)


def repairs(model: LanguageModel, text: str, asked: Asked, seed: int) -> tuple[dict[str, Any], dict[str, str]]:
    """A line per method that the system has a meaning for."""
    ids, size = torch.tensor(model.tokenizer.encode(text)), model.context
    count = min(asked.windows, len(ids) // size)
    if not count:
        return {}, {"repair": f"the held-out text has {len(ids)} tokens, fewer than the context of {size}"}
    starts = [place * (len(ids) - size) // max(count - 1, 1) for place in range(count)]
    pieces = torch.stack([ids[start : start + size] for start in starts])
    planted = plant(pieces, asked.share, model.tokenizer.vocabulary, QUESTIONS_SEED)
    lines, refused = [], {}
    for method in METHODS:
        try:
            lines.append(repair(model, planted, method, asked.repair_steps, seed).json())
        except UserError as error:
            refused[f"repair, {method}"] = str(error)
    return {"repair": lines} if lines else {}, refused


def blanks(model: LanguageModel, text: str, asked: Asked) -> tuple[dict[str, Any], dict[str, str]]:
    """Single hidden tokens of the held-out text in windows of the context."""
    ids = model.tokenizer.encode(text)
    drawn = draw_token_blanks(ids, min(asked.blanks, len(ids)), model.context, QUESTIONS_SEED)
    try:
        found = infill(model, drawn)
    except UserError as error:
        return {}, {"infill": str(error)}
    return {"infill": {"correct": found.correct, "count": found.count}}, {}
