"""Adapters on disk, in the files that peft defines: adapter_config.json and adapter_model.safetensors.

An adapter names its base, and opens as the model that both make together. Over a base in a public layout its matrices
have the names of that layout, so that peft finds them in the network of transformers; over one of our own they have
ours. What peft can say and this trunk cannot do (DoRA, updates of biases, other methods) is refused.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file
from safetensors.torch import save as tensor_bytes
from torch import Tensor

from ..durable import write_bytes, write_json
from ..errors import UserError
from ..kinds import CHECKPOINT_FAMILIES
from ..models.family import CheckpointFamily
from ..models.int8 import Int8
from ..models.lora import LowRank, is_update, updated
from ..models.parts import Concatenated, Copied, Part
from ..models.transformer import Transformer
from .checkpoints import Checkpoint, Progress
from .named import ADAPTER, Found, find
from .saved import MANIFEST, OWN, Saved
from .stored_tensors import CONFIG as MODEL
from .stored_tensors import read_json
from .trained import Trained

CONFIG, WEIGHTS = ADAPTER, "adapter_model.safetensors"
PREFIX = "base_model.model."
"""Before the names of modules in peft's files."""
PLAIN: Mapping[str, Any] = {"bias": "none", "use_dora": False, "fan_in_fan_out": False, "alpha_pattern": {}}
"""What other values of would change what is computed."""
SAMPLED = 64
"""Numbers of each tensor that a fingerprint reads."""


def is_adapter(place: Path) -> bool:
    """Whether a directory holds an adapter and no model of its own beside it."""
    return (place / CONFIG).is_file() and not (place / MODEL).is_file()


def fingerprint(network: Transformer) -> str | None:
    """What tells a base from another: names, shapes and some numbers, in bfloat16. None of a base in int8."""
    found = hashlib.sha256()
    for name, value in sorted(network.state_dict().items()):
        if is_update(name):
            continue
        if isinstance(value, Int8):
            return None
        step = max(value.numel() // SAMPLED, 1)
        numbers = value.detach().flatten()[::step][:SAMPLED].to("cpu", torch.bfloat16)
        found.update(f"{name} {tuple(value.shape)} ".encode() + numbers.view(torch.int16).numpy().tobytes())
    return found.hexdigest()


def update_of(base: Trained, rank: int, alpha: float, targets: tuple[str, ...]) -> LowRank:
    """The update of a base: of each of its published matrices."""
    return LowRank(rank, alpha / rank, targets, apart="layout" in base.manifest)


def write(
    base: Trained, network: Transformer, update: LowRank, directory: Path, base_name: str, beside: Mapping[str, Tensor]
) -> dict[str, Any]:
    """An adapter's two files into a directory; what the manifest says of it.

    `network` has the updates; `beside` are parameters of the base itself that were trained with them, by their names.
    """
    names = _modules(base)
    tensors: dict[str, Tensor] = {}
    for name, module in updated(network):
        parts = module.lora_b.detach().float().cpu().split(module.heights)
        for where, a, b in zip(names[name], module.lora_a.detach().float().cpu().unbind(), parts, strict=True):
            tensors[f"{PREFIX}{where}.lora_A.weight"] = a.contiguous()
            tensors[f"{PREFIX}{where}.lora_B.weight"] = b.contiguous()
    copied = {part.parameter: part.tensor for part in _parts(base) if isinstance(part, Copied)}
    for name in beside:
        if name not in copied:
            raise UserError(f"training.train: {name} cannot be kept in an adapter's files; name others, or leave it")
        tensors[PREFIX + copied[name]] = beside[name].detach().float().cpu().contiguous()
    kept = sorted({_last(copied[name].rpartition(".")[0]) for name in beside})
    write_bytes(directory / WEIGHTS, tensor_bytes(tensors))
    write_json(
        directory / CONFIG,
        {
            "peft_type": "LORA",
            "task_type": None,
            "base_model_name_or_path": base_name,
            "inference_mode": True,
            "r": update.rank,
            "lora_alpha": update.scale * update.rank,
            "lora_dropout": 0.0,
            "bias": "none",
            "fan_in_fan_out": False,
            "target_modules": sorted({_last(where) for name, _ in updated(network) for where in names[name]}),
            "modules_to_save": kept or None,
        },
    )
    place = Path(base_name)
    there = {"place": str(place.resolve())} if place.exists() else {}
    return {"base": base_name, **there, "fingerprint": fingerprint(base.trunk("adapted"))}


@dataclass(frozen=True, eq=False)
class Adapter:
    """The files of an adapter in a directory."""

    directory: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """UserError for what is no adapter of low rank, or one that computes what is not computed here."""
        path = self.directory / CONFIG
        said = read_json(path)
        if said.get("peft_type") != "LORA":
            raise UserError(f"{path}: peft_type {said.get('peft_type')!r} is not read, only 'LORA'")
        for name, value in PLAIN.items():
            if said.get(name) not in (None, value):
                raise UserError(f"{path}: {name} = {said[name]!r} is not supported, only {value!r}")
        for name in ("r", "lora_alpha"):
            if isinstance(said.get(name), bool) or not isinstance(said.get(name), int | float) or said[name] <= 0:
                raise UserError(f"{path}: {name} must be a number above 0, not {said.get(name)!r}")
        return said

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Ours, of an adapter that was trained here; empty for others'."""
        return read_json(self.directory / MANIFEST)

    @property
    def base(self) -> str:
        """The name of the base, as it was given."""
        said = self.config.get("base_model_name_or_path")
        if not isinstance(said, str) or not said:
            raise UserError(f"{self.directory / CONFIG} names no base (base_model_name_or_path)")
        return said

    def place(self) -> Found:
        """The base as it was named, or where it was then. UserError where it is neither here nor there."""
        why = "there is nothing of that name"
        for name in (self.base, self.manifest.get("adapter", {}).get("place")):
            try:
                if name and (found := find(name)).place.exists():
                    return found
            except UserError as error:
                why = str(error)
        raise UserError(
            f"the adapter {self.directory} is of the base {self.base}, which is not here ({why}); say where it is in "
            f"{self.directory / CONFIG} (base_model_name_or_path)"
        )

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        path = self.directory / WEIGHTS
        try:
            return load_file(path)
        except (OSError, safetensors.SafetensorError) as error:
            raise UserError(f"{path} cannot be read ({error}): the adapter is incomplete") from error

    def described(self, base: Trained) -> Trained:
        """What a base becomes, its network aside."""
        return replace(base, manifest={**base.manifest, **self.manifest}, name=str(self.directory))

    def onto(self, base: Trained) -> Trained:
        """The base with the adapter merged. UserError for another base than it was trained on."""
        network = base.trunk("adapted")
        if any(isinstance(value, Int8) for value in network.parameters()):
            raise UserError(f"{self.directory}: an adapter is merged into whole numbers of bits: leave out dtype int8")
        told = self.manifest.get("adapter", {}).get("fingerprint")
        if told is not None and told != fingerprint(network):
            raise UserError(
                f"the adapter {self.directory} was trained on another base than {base.name} holds now: give back the "
                f"one that it was, or say where that is in {self.directory / CONFIG}"
            )
        self._merge(base, network)
        return self.described(base)

    @torch.no_grad()
    def _merge(self, base: Trained, network: Transformer) -> None:
        names, left = _modules(base), dict(self.tensors)
        copied = {part.tensor: part.parameter for part in _parts(base) if isinstance(part, Copied)}
        for key in list(left):
            if not key.startswith(PREFIX) or ".lora_" in key:
                continue
            name = copied.get(key.removeprefix(PREFIX))
            if name is None:
                raise self._stranger(key, base)
            _copy(network.get_parameter(name), left.pop(key), key)
        parameters = dict(network.named_parameters())
        for name, wheres in names.items():
            heights = _heights(network, name, len(wheres))
            for row, (where, height) in zip(_starts(heights), zip(wheres, heights, strict=True), strict=True):
                a = left.pop(f"{PREFIX}{where}.lora_A.weight", None)
                b = left.pop(f"{PREFIX}{where}.lora_B.weight", None)
                if a is None or b is None:
                    continue
                weight = parameters[f"{name}.weight"]
                if b.shape != (height, a.shape[0]) or a.shape[1] != weight.shape[1]:
                    raise UserError(
                        f"the adapter {self.directory} is of another base than {base.name}: its {where} is "
                        f"{b.shape[0]} x {a.shape[-1]}, and the base's {height} x {weight.shape[1]}"
                    )
                part = weight[row : row + height]
                part.copy_(part.float() + self._scale(a.shape[0]) * (b.float() @ a.float()).to(part.device))
        if left:
            raise self._stranger(next(iter(left)), base)

    def _scale(self, rank: int) -> float:
        alpha = float(self.config["lora_alpha"])
        return alpha / math.sqrt(rank) if self.config.get("use_rslora") else alpha / rank

    def _stranger(self, key: str, base: Trained) -> UserError:
        return UserError(f"the adapter {self.directory} is of another base: {key} has no place in {base.name}")


@dataclass(frozen=True, eq=False)
class Adapted:
    """An adapter with its base: the model that they make together, the updates merged."""

    adapter: Adapter
    base: Checkpoint | Saved

    @property
    def directory(self) -> Path:
        return self.adapter.directory

    @property
    def dtype(self) -> torch.dtype:
        """How the base is stored."""
        return torch.float32 if isinstance(self.base, Saved) else self.base.dtype

    @property
    def layout(self) -> str:
        """The family of the base, or our own layout."""
        return OWN if isinstance(self.base, Saved) else self.base.family

    def described(self) -> Trained:
        """The model with a network without memory."""
        return self.adapter.described(self.base.described())

    def load(
        self, devices: Sequence[torch.device], dtype: torch.dtype | None, progress: Progress | None = None
    ) -> Trained:
        """UserError for files that are not whole, before the base is read, and for an adapter of another base."""
        _ = self.adapter.config, self.adapter.tensors
        return self.adapter.onto(self.base.load(devices, dtype, progress))


def _copy(parameter: Tensor, value: Tensor, key: str) -> None:
    if parameter.shape != value.shape:
        raise UserError(f"{key} of the adapter is {tuple(value.shape)}, and the base's is {tuple(parameter.shape)}")
    parameter.copy_(value)


def _modules(base: Trained) -> dict[str, list[str]]:
    """The published modules of each linear map of the trunk, in the order of the maps in its matrix."""
    network = base.trunk("adapted")
    found: dict[str, list[str]] = {}
    for part in _parts(base):
        tensors = part.tensors
        if isinstance(part, Copied | Concatenated):
            name, _, kind = part.parameters[0].rpartition(".")
            if kind == "weight":
                found[name] = [tensor.removesuffix(".weight") for tensor in tensors]
    linears = {name for name, module in network.named_modules() if isinstance(module, torch.nn.Linear)}
    return {name: where for name, where in found.items() if name in linears}


def _parts(base: Trained) -> Sequence[Part]:
    """Every parameter with its published tensors; with its own name where the layout is ours."""
    network = base.trunk("adapted")
    if "layout" not in base.manifest:
        return [Copied(name, name) for name in network.state_dict() if not is_update(name)]
    family: CheckpointFamily = CHECKPOINT_FAMILIES.load(base.manifest["layout"])()
    return family.variant(base.manifest.get("config", {}), ()).parts(network.config)


def _heights(network: Transformer, name: str, maps: int) -> tuple[int, ...]:
    """Rows of each of so many maps in a matrix."""
    weight = network.get_parameter(f"{name}.weight")
    if maps == 1:
        return (len(weight),)
    return next(heights for matrix, heights in network.matrices if matrix is weight)


def _starts(heights: Sequence[int]) -> Iterator[int]:
    at = 0
    for height in heights:
        yield at
        at += height


def _last(module: str) -> str:
    return module.rpartition(".")[2]
