"""Public checkpoints as they are written: config.json, safetensors, the tokenizer's files and the chat template.

What was written is read again before it counts, by its headers: a layout that has no words for a fact is refused.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..durable import write_json
from ..errors import UserError
from ..kinds import CHECKPOINT_FAMILIES, describe_process
from ..models.family import CheckpointFamily, Keys
from ..models.transformer import TransformerConfig
from ..text.codec import Codec
from ..text.published_tokenizer import NoTokenizer
from ..text.tokenizer import Tokenizer
from ..text.tokenizer_file import Published, content_of
from ..vocabulary import Vocabulary
from . import voice
from .checkpoints import Checkpoint
from .overrides import KEY, Overrides
from .published_files import DirectoryFiles
from .safetensors_file import write_tensors
from .stored_tensors import CONFIG, WEIGHTS
from .trained import Trained


def write(model: Trained, directory: Path, family: str, config: Mapping[str, Any]) -> None:
    """Config, weights and tokenizer files into an existing directory, the config last."""
    network = model.trunk("written")
    layout = _layout(family, config)
    weights: dict[str, Tensor] = {}
    state = network.state_dict()
    for part in layout.parts(network.config):
        pieces = part.write([state[name].detach().cpu() for name in part.parameters])
        weights |= dict(zip(part.tensors, pieces, strict=True))
    write_tensors(directory / WEIGHTS, weights)
    if isinstance(model.tokenizer, Published | Tokenizer):
        write_json(directory / "tokenizer.json", content_of(model.tokenizer))
    voice.write(directory, model.manifest, model.tokenizer)
    write_json(directory / CONFIG, config)
    _compare(model, Checkpoint(DirectoryFiles(directory), Overrides(family)), family)


def _compare(model: Trained, written: Checkpoint, family: str) -> None:
    """UserError if what was written is read as something else: the layout has no words for a fact of the model."""
    predictor, found = model.predictor, written.described()
    assert isinstance(written.shape, TransformerConfig)
    network, read = _in_full(model.trunk("written").config), _in_full(written.shape)
    facts = {
        "network": ([f"{n} = {network[n]!r}" for n in network], [f"{n} = {read[n]!r}" for n in network]),
        "vocabulary": (predictor.process.vocabulary, written.vocabulary),
        "noise": (describe_process(predictor.process), describe_process(written.process)),
        "kind of head": (predictor.head, found.predictor.head),
        "start symbol": (_start(model.tokenizer), _start(found.tokenizer)),
    }
    for what, (ours, theirs) in facts.items():
        if ours != theirs:
            raise UserError(f"the layout of {family} cannot hold the {what} of {model.name}: {_first(ours, theirs)}")


def _start(tokenizer: Codec) -> int | None:
    return None if isinstance(tokenizer, NoTokenizer) else tokenizer.start


def _first(ours: Any, theirs: Any) -> str:
    """The first difference of two facts."""
    if isinstance(ours, list):
        ours, theirs = next((a, b) for a, b in zip(ours, theirs, strict=True) if a != b)
    elif isinstance(ours, Vocabulary):
        name = next(
            name
            for name in ("rows", "mask", "bos", "eos", "pad", "reserved")
            if getattr(ours, name) != getattr(theirs, name)
        )
        ours, theirs = f"{name} = {getattr(ours, name)}", f"{name} = {getattr(theirs, name)}"
    return f"{ours} would be read as {theirs}"


def config_of(model: Trained, family: str) -> dict[str, Any]:
    """The config.json of a model in a family's layout; UserError for a network that the layout cannot describe."""
    network = model.trunk("written")
    layout = _layout(family, model.manifest.get("config", {}) if model.manifest.get("layout") == family else {})
    if model.manifest.get("layout") == family:
        config = {name: value for name, value in model.manifest["config"].items() if name != "torch_dtype"}
        # what was read under another name is written under its own, so that it is recognized again
        own_names = layout.config(network.config)
        config |= {name: own_names[name] for name in ("model_type", "architectures")}
        if said := {**config.get(KEY, {}), **own_names.get(KEY, {})}:
            config[KEY] = said
    else:
        config = layout.config(network.config)
        described = layout.network(Keys(config))
        assert isinstance(described, TransformerConfig)
        read, own = _in_full(described), _in_full(network.config)
        wrong = [name for name in own if own[name] != read[name]]
        if wrong:
            listed = ", ".join(f"{name} = {own[name]!r} (it has {read[name]!r})" for name in wrong)
            raise UserError(f"this network cannot be written in the layout of {family}: {listed}")
    vocabulary = model.predictor.process.vocabulary
    roles = {f"{name}_token_id": getattr(vocabulary, name) for name in ("mask", "bos", "eos", "pad")}
    if (start := _start(model.tokenizer)) is not None:
        roles["bos_token_id"] = start
    ids = {name: row for name, row in roles.items() if row is not None}
    return {**config, **ids, "dtype": str(next(network.parameters()).dtype).removeprefix("torch.")}


def _in_full(shape: TransformerConfig) -> dict[str, Any]:
    """The settings of a network, with the sizes that follow from others."""
    return {**vars(shape), "kv_heads": shape.groups, "head_dim": shape.head_width, "hidden": shape.hidden_width}


def _layout(family: str, config: Mapping[str, Any]) -> CheckpointFamily:
    """A family's layout, in the variant of a config."""
    layout: CheckpointFamily = CHECKPOINT_FAMILIES.load(family)()
    return layout.variant(config, ())
