"""Models on disk: a directory with manifest.json, model.safetensors and tokenizer.json, each checked when read.

A directory without a manifest and with a config.json is a public checkpoint: `checkpoints` reads and writes those.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import torch
from safetensors.torch import save as tensor_bytes

from ..durable import new_directory, write_bytes, write_json
from ..errors import UserError, did_you_mean
from ..kinds import build_process, describe, describe_process, parameters_of, refuse_packages
from ..models.int8 import Int8
from ..models.parts import Copied
from ..models.transformer import Transformer, TransformerConfig
from ..predictor import Predictor
from ..text.tokenizer import Tokenizer
from ..text.tokenizer_file import Published, read_tokenizer
from ..types import HeadKind
from ..vocabulary import Vocabulary
from . import checkpoints, gguf_model, hub, probe
from .memory import require
from .overrides import NOTHING, Overrides
from .published_files import DirectoryFiles, PublishedFiles
from .stored_tensors import Tensors
from .trained import Trained

FORMAT = 1
MANIFEST, WEIGHTS, TOKENIZER = "manifest.json", "model.safetensors", "tokenizer.json"


def save(model: Trained, directory: Path, layout: str | None = None) -> None:
    """Write a new directory, in a public layout if one is named or the model came in one.

    UserError if it exists, cannot be written, or if the layout has no words for the network.
    """
    layout = layout or model.manifest.get("layout")
    if directory.exists():
        raise UserError(f"{directory} exists and is not overwritten; choose another place")
    network = model.predictor.denoiser
    assert isinstance(network, Transformer)
    if any(isinstance(value, Int8) for value in network.parameters()):
        raise UserError(f"weights in int8 are not saved: load {model.name} in its own format, without dtype")
    config = checkpoints.config_of(model, layout) if layout else {}
    with new_directory(directory) as partial:
        if layout:
            checkpoints.write(model, partial, layout, config)
        else:
            write(model, partial)


def write(model: Trained, directory: Path) -> None:
    """Write the three files into an existing directory, the manifest last: a directory without it is not a model."""
    network = model.predictor.denoiser
    assert isinstance(network, Transformer)
    assert isinstance(model.tokenizer, Tokenizer | Published)
    weights = {name: value.detach().float().contiguous().cpu() for name, value in network.state_dict().items()}
    content = tensor_bytes(weights)
    write_bytes(directory / WEIGHTS, content)
    write_bytes(directory / TOKENIZER, model.tokenizer.to_json().encode())
    write_json(directory / MANIFEST, {**model.manifest, **_description(model, content)})


def _description(model: Trained, weights: bytes) -> dict[str, Any]:
    """The part of the manifest from which the model is built again."""
    predictor = model.predictor
    process = predictor.process
    assert isinstance(predictor.denoiser, Transformer)
    assert isinstance(model.tokenizer, Tokenizer | Published)
    return {
        "format": FORMAT,
        "undiffuse": version("undiffuse"),
        "model": describe(predictor.denoiser.config),
        "process": describe_process(process),
        "head": predictor.head,
        "tokenizer": {
            "kind": model.tokenizer.kind,
            "rows": model.tokenizer.vocabulary.rows,
            "digest": model.tokenizer.digest,
            **_roles(model.tokenizer),
        },
        "weights": {"sha256": hashlib.sha256(weights).hexdigest()},
    }


def _roles(tokenizer: Tokenizer | Published) -> dict[str, Any]:
    """The rows that are no text, of a published tokenizer, whose file does not say."""
    if isinstance(tokenizer, Tokenizer):
        return {}
    vocabulary = tokenizer.vocabulary
    start = {} if tokenizer.start is None else {"start": tokenizer.start}
    return {"roles": {**asdict(vocabulary), "reserved": sorted(vocabulary.reserved)}, **start}


def _tokenizer(directory: Path, described: Mapping[str, Any]) -> Tokenizer | Published:
    content = _read(directory / TOKENIZER).decode(errors="replace")
    roles = described.get("roles")
    tokenizer = (
        Tokenizer.from_json(content)
        if roles is None
        else read_tokenizer(
            json.loads(content),
            Vocabulary(**{**roles, "reserved": frozenset(roles["reserved"])}),
            described.get("start"),
        )
    )
    if tokenizer.digest != described["digest"]:
        raise UserError(f"{directory / TOKENIZER} belongs to another model: its digest is not the manifest's")
    return tokenizer


def read(
    directory: str | Path | None,
    *,
    device: str | torch.device,
    dtype: torch.dtype | None,
    overrides: Overrides = NOTHING,
    check_head: bool = True,
    plugins: Collection[str] = (),
    revision: str | None = None,
) -> Trained:
    """See `loading.load`."""
    name = newest_run() if directory is None else Path(directory)
    directory = hub.located(name, revision)
    files = published(directory)
    if files is not None:
        return replace(checkpoints.Checkpoint(files, overrides, plugins).load(device, dtype), name=str(name))
    if overrides:
        raise UserError(f"family, mask_id, attention and shift are for public checkpoints, and {directory} is not one")
    manifest = _manifest(directory)
    refuse_packages(manifest, plugins, str(directory))
    tokenizer = _tokenizer(directory, manifest["tokenizer"])
    network = _network(manifest, directory, torch.device(device), dtype or torch.float32)
    process = build_process(manifest["process"], tokenizer.vocabulary)
    predictor = Predictor(network, process, _head(manifest, directory))
    if check_head:
        probe.check_head(predictor, manifest, directory / MANIFEST, device)
    return Trained(predictor, tokenizer, manifest, name=str(name))


def published(place: Path) -> PublishedFiles | None:
    """The files of a model in a public layout, None where there is none, or one of our own."""
    if place.suffix == gguf_model.SUFFIX and place.is_file():
        return gguf_model.GGUFModel.open(place)
    there = (place / checkpoints.CONFIG).is_file() and not (place / MANIFEST).is_file()
    return DirectoryFiles(place) if there else None


def newest_run(root: str | Path = "runs") -> Path:
    """The finished run that ended last; UserError if there is none."""
    found = [path.parent for path in Path(root).glob(f"*/{MANIFEST}")]
    if not found:
        raise UserError(
            f"there is no finished run under {root}/; train one (undiffuse train FILE), or name one: --model DIR"
        )
    return max(found, key=lambda path: (path / MANIFEST).stat().st_mtime_ns)


def _manifest(directory: Path) -> dict[str, Any]:
    if not directory.is_dir():
        siblings = [path.name for path in directory.parent.glob("*/")] if directory.parent.is_dir() else []
        raise UserError(
            f"there is no model directory {directory}{did_you_mean(directory.name, siblings) if siblings else ''}"
        )
    if not (directory / MANIFEST).is_file():
        unfinished = (directory / "run.json").is_file()
        fix = f"it is a run that did not finish: undiffuse train --resume {directory}" if unfinished else "name a run"
        raise UserError(f"{directory} is not a model, it has no {MANIFEST}: {fix}")
    try:
        manifest = json.loads(_read(directory / MANIFEST))
    except ValueError as error:
        raise UserError(f"{directory / MANIFEST} is damaged ({error}); copy it again, or train again") from error
    needed = {"format", "model", "process", "head", "tokenizer", "weights"}
    if not isinstance(manifest, dict) or not needed <= manifest.keys():
        raise UserError(f"{directory / MANIFEST} was not written by undiffuse")
    if manifest["format"] != FORMAT:
        raise UserError(
            f"{directory} has format {manifest['format']}, and this version of undiffuse reads {FORMAT}: "
            "use the version that wrote it"
        )
    return manifest


def _head(manifest: Mapping[str, Any], directory: Path) -> HeadKind:
    known = get_args(HeadKind)
    if manifest["head"] not in known:
        raise UserError(
            f'{directory / MANIFEST} says "head": "{manifest["head"]}", which is none of {", ".join(known)}'
        )
    return manifest["head"]


def _config(spec: Mapping[str, Any], directory: Path) -> TransformerConfig:
    unknown = spec.keys() - {"kind"} - {field.name for field in fields(TransformerConfig)}
    if spec.get("kind") != "transformer" or unknown:
        raise UserError(f"{directory / MANIFEST} describes a network that this version does not know: {spec}")
    return TransformerConfig(**parameters_of(TransformerConfig, spec))


def _network(manifest: Mapping[str, Any], directory: Path, device: torch.device, dtype: torch.dtype) -> Transformer:
    """Every parameter exactly once. UserError for a file that is not the manifest's, before memory is taken."""
    network, path = checkpoints.outline(_config(manifest["model"], directory)), directory / WEIGHTS
    require(network, dtype, device, str(directory))
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; the model is incomplete") from error
    if found != manifest["weights"]["sha256"]:
        raise UserError(
            f"{path} is not the file that was saved ({path.stat().st_size} bytes, wrong checksum): it is "
            "truncated or damaged; copy it again, or train again"
        )
    tensors = Tensors.of(directory)
    expected = {name: value.shape for name, value in network.state_dict().items()}
    shapes = {name: stored.shape for name, stored in tensors.stored.items()}
    if expected != shapes:
        wrong = sorted({*expected.items()} ^ {*shapes.items()})[0]
        raise UserError(f"{path} does not fit its manifest, first at {wrong[0]} {list(wrong[1])}")
    return checkpoints.filled(network, [Copied(name, name) for name in expected], tensors, device, dtype)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; the model is incomplete") from error
