"""Models on disk: a directory with manifest.json, model.safetensors and tokenizer.json (`saved` reads it), or others.

A directory without a manifest and with a config.json is a public checkpoint: `checkpoints` reads those, and
`published_writing` writes them.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as tensor_bytes

from ..durable import new_directory, write_bytes, write_json
from ..errors import UserError
from ..kinds import describe, describe_process
from ..models.int8 import Int8
from ..models.transformer import Transformer
from ..text.tokenizer import Tokenizer
from ..text.tokenizer_file import Published
from . import adapters, checkpoints, gguf_model, probe, published_writing
from .named import Found, find
from .overrides import NOTHING, Overrides
from .published_files import DirectoryFiles, PublishedFiles
from .saved import FORMAT, MANIFEST, OWN, TOKENIZER, WEIGHTS, Saved, roles_of
from .stored_tensors import HeaderOf
from .trained import Trained


def save(model: Trained, directory: Path, layout: str | None = None) -> None:
    """Write a new directory, in a public layout if one is named or the model came in one.

    UserError if it exists, cannot be written, or if the layout has no words for the network.
    """
    layout = layout or (OWN if "format" in model.manifest else model.manifest.get("layout", OWN))
    if directory.exists():
        raise UserError(f"{directory} exists and is not overwritten; choose another place")
    network = model.trunk("saved")
    if any(isinstance(value, Int8) for value in network.parameters()):
        raise UserError(f"weights in int8 are not saved: load {model.name} in its own format, without dtype")
    config = {} if layout == OWN else published_writing.config_of(model, layout)
    with new_directory(directory) as partial:
        if layout == OWN:
            write(model, partial)
        else:
            published_writing.write(model, partial, layout, config)


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
            **roles_of(model.tokenizer),
        },
        "weights": {"sha256": hashlib.sha256(weights).hexdigest()},
    }


def read(
    asked: str | Path | Found | None,
    *,
    devices: Sequence[torch.device],
    dtype: torch.dtype | None,
    overrides: Overrides = NOTHING,
    check_head: bool = True,
    plugins: Collection[str] = (),
    revision: str | None = None,
    progress: checkpoints.Progress | None = None,
) -> Trained:
    """See `loading.load`."""
    named = asked if isinstance(asked, Found) else find(asked, revision)
    found = opened(named.place, overrides, plugins)
    model = found.load(devices, dtype, progress)
    if check_head and isinstance(found, Saved):
        probe.check_head(model.predictor, model.manifest, found.directory / MANIFEST, devices[0])
    return replace(model, name=named.name)


def opened(
    place: Path, overrides: Overrides = NOTHING, plugins: Collection[str] = (), header: HeaderOf | None = None
) -> checkpoints.Checkpoint | Saved | adapters.Adapted:
    """What the headers of a model describe. UserError where there is none, or where it is our own and is overruled.

    `header` reads that of weights which need not be here.
    """
    if adapters.is_adapter(place):
        adapter = adapters.Adapter(place)
        base = opened(adapter.place().place, overrides, plugins)
        if isinstance(base, adapters.Adapted):
            raise UserError(
                f"the adapter {place} names another adapter as its base, {base.directory}: merge that first"
            )
        return adapters.Adapted(adapter, base)
    files = published(place, header)
    if files is not None:
        return checkpoints.Checkpoint(files, overrides, plugins)
    saved = Saved(place, plugins)
    if saved.manifest and overrides:
        raise UserError(f"family, mask_id, attention and shift are for public checkpoints, and {place} is not one")
    return saved


def published(place: Path, header: HeaderOf | None = None) -> PublishedFiles | None:
    """The files of a model in a public layout, None where there is none, or one of our own."""
    if place.suffix == gguf_model.SUFFIX and place.is_file():
        return gguf_model.GGUFModel.open(place)
    there = (place / checkpoints.CONFIG).is_file() and not (place / MANIFEST).is_file()
    return DirectoryFiles(place, header) if there else None
