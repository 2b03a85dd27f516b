"""Checkpoints: tensors in safetensors, the rest in JSON, complete or absent. Nothing is ever pickled."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from ..durable import PARTIAL, flush, new_directory, sweep
from ..errors import UserError
from .sharding import whole

KEPT = 2
"""Checkpoints that stay on the disk: the newest, and the one before it."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """State of a run after `step` steps: named tensors, and what JSON can hold."""

    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def save(directory: Path, checkpoint: Checkpoint) -> None:
    """Adds a checkpoint and lets the oldest go. UserError if it cannot be written; the earlier ones then remain."""
    target = directory / f"step-{checkpoint.step:09d}"
    if target.exists():
        return  # the same step of the same run: the same content
    content = safetensors.torch.save({name: whole(tensor).contiguous() for name, tensor in checkpoint.tensors.items()})
    state = {"step": checkpoint.step, "sha256": hashlib.sha256(content).hexdigest(), "facts": checkpoint.facts}
    with new_directory(target) as partial:
        (partial / "tensors.safetensors").write_bytes(content)
        (partial / "state.json").write_text(json.dumps(state), encoding="utf-8")
    for old in _found(directory)[:-KEPT]:
        # renamed first, so that a kill during the removal leaves no half of a checkpoint under a valid name
        shutil.rmtree(old.rename(directory / f"{PARTIAL}{old.name}"))
    sweep(directory)
    flush(directory)


def load_latest(directory: Path) -> Checkpoint | None:
    """The newest checkpoint, or None before the first. UserError if it was damaged or is not one of ours."""
    found = _found(directory)
    return _load(found[-1]) if found else None


def _found(directory: Path) -> list[Path]:
    return sorted(directory.glob("step-*"))


def _load(path: Path) -> Checkpoint:
    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
        content = (path / "tensors.safetensors").read_bytes()
        if hashlib.sha256(content).hexdigest() != state["sha256"]:
            raise ValueError("its tensors are not the ones that were written")
        return Checkpoint(state["step"], safetensors.torch.load(content), state["facts"])
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise UserError(
            f"the checkpoint {path} is damaged ({error}): delete that directory to go on from the one before it"
        ) from error
