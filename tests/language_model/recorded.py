"""Recorded runs of the published loops (tests/golden): tiny random checkpoints, and what came out of them."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

import undiffuse as ud
from undiffuse.language_model.decode import Decoded

NAMELESS: dict[str, dict[str, Any]] = {
    "modernbert": {"mask_id": 252},
    "roberta": {"mask_id": 95},
    "llada2": {"mask_id": 251, "attention": "block:8"},
    "fast-dllm-v2": {"mask_id": 259},
    "open-dcoder": {"family": "open-dcoder", "mask_id": 270},
}
"""What the configs of tiny checkpoints do not say; a tokenizer would name the mask, and blocks are of other sizes."""
ROOT = Path(__file__).parents[1] / "golden"


@dataclass(frozen=True, eq=False)
class Golden:
    """One family: the loaded model, the recorded tensors, and the description of every run."""

    family: str
    model: ud.LanguageModel
    tensors: dict[str, Tensor]
    about: dict[str, Any]

    def load(self, **options: Any) -> ud.LanguageModel:
        """The model once more, loaded with other options."""
        return load(self.family, **options)

    def recorded(self, run: str, what: str) -> list[Tensor]:
        """A recorded tensor of a run, one per request, without padding."""
        kept = {"sequence": "canvas"} if self.family == "llada2" else {}
        values = self.tensors[f"decode.{run}.{kept.get(what, what)}"]
        mask = self.tensors.get(f"decode.{run}.attention_mask")
        pads = [0] * len(values) if mask is None else (mask == 0).sum(1).tolist()
        return [row[pad:] for row, pad in zip(values, pads, strict=True)]


def load(family: str, **options: Any) -> ud.LanguageModel:
    return ud.load(ROOT / family / "checkpoint", **{**NAMELESS.get(family, {}), **options})


@cache
def golden(family: str) -> Golden:
    directory = ROOT / family
    about = json.loads((directory / "fixture.json").read_text())
    return Golden(family, load(family), load_file(directory / "expected.safetensors"), about)


@cache
def ours(family: str, run: str) -> Decoded:
    """What our loop makes of a recorded run's prompts and settings."""
    known = golden(family)
    options = OPTIONS[family](known.about["decode_runs"][run]["settings"])
    return known.model.decode(known.recorded(run, "prompt_ids"), **options)


def runs(family: str) -> list[str]:
    return list(json.loads((ROOT / family / "fixture.json").read_text())["decode_runs"])


def _llada(settings: dict[str, Any]) -> dict[str, Any]:
    chosen = {
        "length": settings["gen_length"],
        "block_length": settings["block_length"],
        "cache": settings.get("cache", "none"),
        "guidance": 1 + settings.get("cfg_scale", 0.0),
    }
    for parallel in ("threshold", "factor"):
        if settings.get(parallel) is not None:
            return {**chosen, "strategy": parallel, parallel: settings[parallel]}
    return {**chosen, "strategy": "confidence", "steps": settings["steps"]}


def _dream(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "length": settings["max_new_tokens"],
        "steps": settings["steps"],
        "strategy": settings["alg"].replace("_", "-"),
        "schedule": "dream-exact",
        "top_k": settings["top_k"],
        "top_p": settings["top_p"],
    }


def _sdar(settings: dict[str, Any]) -> dict[str, Any]:
    strategies = {
        "low_confidence_static": "confidence",
        "low_confidence_dynamic": "dynamic",
        "sequential": "left-to-right",
    }
    return {
        "length": settings["gen_length"],
        "block_length": settings["block_length"],
        "steps": settings["denoising_steps"],
        "strategy": strategies[settings["remasking_strategy"]],
        "stop_ids": settings["stopping_criteria_idx"] or (),
        **({"threshold": settings["confidence_threshold"]} if "confidence_threshold" in settings else {}),
    }


def _llada2(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "length": settings["gen_length"],
        "block_length": settings["block_length"],
        "steps": settings["steps"],
        "strategy": "dynamic",
        "threshold": settings["threshold"],
        "stop_ids": [settings["eos_id"]],
        "early_stop": settings.get("eos_early_stop", False),
    }


def _causal(settings: dict[str, Any]) -> dict[str, Any]:
    return {"length": settings["max_new_tokens"], "strategy": "left-to-right"}


OPTIONS = {
    "llada": _llada,
    "dream": _dream,
    "sdar": _sdar,
    "llada2": _llada2,
    **dict.fromkeys(("qwen2", "qwen3", "llama", "qwen3-moe"), _causal),
}


def shifted(raw: Tensor, valid: Tensor) -> Tensor:
    """Raw logits of a shifted network by the position they speak of: the row before, the first its own."""
    index = torch.arange(raw.shape[1]).expand(raw.shape[:2])
    first = valid.long().argmax(1, keepdim=True)
    row = torch.where(index > first, index - 1, index)
    return raw.gather(1, row[..., None].expand(raw.shape))
