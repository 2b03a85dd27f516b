"""What a model is, from its headers alone: nothing of its weights is read, however large it is."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import UserError
from ..kinds import describe_process
from ..models.base import Network
from ..models.family import Shape
from ..text.codec import Codec
from ..text.published_tokenizer import NoTokenizer
from ..text.template_doubts import template_doubts
from ..text.tokenizer import Tokenizer
from . import storage, voice
from .adapters import Adapted
from .arguments import names, path, string
from .checkpoints import Checkpoint
from .elsewhere import required
from .memory import available, shown
from .named import Found, find
from .number_formats import NAMES, size_of
from .overrides import Overrides
from .published_files import license_in
from .saved import MANIFEST, OWN, TOKENIZER, Saved
from .special_ids import FAMILY, named_row, sources_of
from .stored_tensors import CONFIG, Stored, Tensors

ROLES = ("mask", "bos", "eos", "pad")
FORMATS = ("float32", "bfloat16", "int8")
IMAGES = ("model.encoder.vision_tower.", "model.encoder.embed_vision.")


@dataclass(frozen=True)
class Role:
    """The row of a special token, and what says so."""

    id: int | None = None
    source: str | None = None


@dataclass(frozen=True)
class Inspection:
    """What a directory or a file holds. What could not be found out is None, and `doubts` says why.

    `parameters` is their number, `dtype` how they are stored (several formats with their shares of tensors), `memory`
    what they take in bytes, by format. `attention` is full, causal or block, in blocks of `block_length` positions;
    some layers see `window` positions to either side alone (None: no layer). `alignment` says which row of the network
    speaks of a position, its own ("same") or the one before ("shifted").
    `head` is what its predictions are (docs/checkpoints.md), `template` where its chat template is from. `loads` is
    false where `load` refuses it, with the reason as the first of the doubts. Of an `adapter` everything else is its
    base's.
    """

    where: str
    family: str | None = None
    parameters: int | None = None
    dtype: str | None = None
    layers: int | None = None
    width: int | None = None
    rows: int | None = None
    context: int | None = None
    ids: Mapping[str, Role] = field(default_factory=lambda: dict.fromkeys(ROLES, Role()))
    noise: str | None = None
    attention: str | None = None
    block_length: int | None = None
    window: int | None = None
    alignment: str | None = None
    head: str | None = None
    template: str | None = None
    tokenizer: Mapping[str, Any] | None = None
    license: str | None = None
    adapter: Mapping[str, Any] | None = None
    memory: Mapping[str, int] = field(default_factory=dict)
    loads: bool = False
    doubts: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        return {**vars(self), "ids": {name: vars(role) for name, role in self.ids.items()}, "doubts": list(self.doubts)}


def inspect(
    place: str | Path | Found | None = None,
    *,
    revision: str | None = None,
    family: str | None = None,
    mask_id: int | None = None,
    attention: str | None = None,
    shift: bool | None = None,
    plugins: Collection[str] = (),
) -> Inspection:
    """What `load` would make of a directory, a GGUF file, a name or an id of Hugging Face; None: what it would take.

    The other arguments are those of `load`. UserError for what is no model at all, and where they overrule a run.
    """
    overrides, plugins = Overrides.of(family, mask_id, attention, shift), names("plugins", plugins)
    revision = None if revision is None else string("revision", revision)
    asked = place if place is None or isinstance(place, Found) else path("place", place)
    named = asked if isinstance(asked, Found) else find(asked, revision, headers=True)
    opened = storage.opened(named.place, overrides, plugins, named.header)
    adapter = {}
    if isinstance(opened, Adapted):
        config = opened.adapter.config
        adapter = {"adapter": {"base": opened.adapter.base, "rank": config["r"], "alpha": config["lora_alpha"]}}
        opened = opened.base
    found = (_of_run(opened) if isinstance(opened, Saved) else _of_checkpoint(opened)) | adapter
    return Inspection(**{"where": named.name, **found})


class Facts(dict[str, Any]):
    """Facts that are found one after the other; what cannot be found becomes a doubt."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: list[str] = []
        self.doubts: list[str] = []

    @contextmanager
    def needed(self) -> Iterator[None]:
        """What `load` needs too."""
        try:
            yield
        except UserError as error:
            if str(error) not in self.refused:
                self.refused.append(str(error))

    def complete(self) -> dict[str, Any]:
        return {**self, "loads": not self.refused, "doubts": (*self.refused, *self.doubts)}


def _of_checkpoint(checkpoint: Checkpoint) -> dict[str, Any]:
    found = Facts()
    with found.needed():
        found |= _of_tensors(checkpoint.stored)
    with found.needed():
        found["family"] = checkpoint.family
        found |= _of_network(checkpoint.shape, _sizes(checkpoint))
        found["head"], found["noise"] = checkpoint.layout.predicts, checkpoint.layout.noise
    with found.needed():
        assert checkpoint.parts
        if checkpoint.layout.package is not None:
            required(checkpoint.family, checkpoint.layout.package)
    if "rows" in found:
        with found.needed():
            found["ids"] = _ids(checkpoint, found.doubts)
            found["noise"] = checkpoint.noise
            if checkpoint.vocabulary.mask is None:
                found["ids"] = {**found["ids"], "mask": Role()}
        with found.needed():
            found |= _of_tokenizer(checkpoint, found.doubts)
    found["license"] = checkpoint.files.license
    _shares(checkpoint, found)
    return found.complete()


def _of_tensors(tensors: Tensors) -> dict[str, Any]:
    """The formats of the file, and the numbers in it; a network may hold fewer."""
    stored = tensors.stored.values()
    return {"dtype": _formats(stored), "parameters": sum(torch.Size(each.shape).numel() for each in stored)}


def _formats(stored: Collection[Stored]) -> str:
    """The one format, or all with the number of tensors in each."""
    spelled = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    counts = Counter(spelled.get(each.format, each.format) for each in stored)
    if len(counts) == 1:
        return next(iter(counts))
    return ", ".join(f"{name} ({count} tensors)" for name, count in counts.most_common())


@dataclass(frozen=True)
class Sizes:
    """How many parameters a network has, and what they take in bytes, by format."""

    parameters: int
    memory: Mapping[str, int]

    @classmethod
    def of(cls, network: Network) -> "Sizes":
        memory = {name: size_of(network, NAMES[name]) for name in FORMATS}
        return cls(sum(p.numel() for p in network.parameters()), memory)


def _sizes(checkpoint: Checkpoint) -> Sizes:
    """Those of the network, also where the package that computes it is missing."""
    if checkpoint.layout.package is None:
        return Sizes.of(checkpoint.outline)
    count = sum(torch.Size(shape).numel() for shape in checkpoint.parameters.values())
    return Sizes(count, {name: count * NAMES[name].itemsize for name in FORMATS if name != "int8"})


def _of_network(shape: Shape, sizes: Sizes) -> dict[str, Any]:
    kind = "block" if shape.block_length is not None else "causal" if shape.causal else "full"
    return {
        "parameters": sizes.parameters,
        "layers": shape.depth,
        "width": shape.width,
        "rows": shape.rows,
        "context": shape.context,
        "attention": kind,
        "block_length": shape.block_length,
        "window": shape.local_window if any(map(shape.is_local, range(shape.depth))) else None,
        "alignment": "shifted" if shape.output_offset else "same",
        "memory": sizes.memory,
    }


def _ids(checkpoint: Checkpoint, doubts: list[str]) -> dict[str, Role]:
    files, config, rows = checkpoint.tokenizer_files, checkpoint.flat, checkpoint.shape.rows
    found = sources_of(rows, checkpoint.layout, config, files, checkpoint.said.mask_id)
    named = {CONFIG: checkpoint.files.config_source}
    roles = {name: Role(found[name][0], named.get(str(found[name][1]), found[name][1])) for name in ROLES}
    if roles["mask"].source == FAMILY and not checkpoint.shape.causal:
        doubts.append(
            f"no file says which row is the mask: {roles['mask'].id} is that of the family {checkpoint.family}"
        )
    for name in ("bos", "eos", "pad"):
        other = named_row(name, files)
        if other is not None and other != roles[name].id:
            doubts.append(f"{name}: {roles[name].source} says {roles[name].id}, and its tokenizer names row {other}")
    return roles


def _of_tokenizer(checkpoint: Checkpoint, doubts: list[str]) -> dict[str, Any]:
    tokenizer, manifest = checkpoint.tokenizer, checkpoint.manifest
    if isinstance(tokenizer, NoTokenizer):
        doubts.append(f"no tokenizer, so it takes and gives ids alone: {tokenizer.fix}")
        return {}
    source = None
    try:
        template = voice.template_of(tokenizer, manifest)
        given = (manifest.get(voice.KEY) or {}).get("template")
        source = f"the family {checkpoint.family}" if given is None else checkpoint.template_source
        doubts += template_doubts(template, tokenizer)
    except UserError as error:
        if (manifest.get(voice.KEY) or {}).get("template"):
            doubts.append(str(error))
    return {"tokenizer": _described(tokenizer), "template": source}


def _shares(checkpoint: Checkpoint, found: Facts) -> None:
    """Doubts about the whole."""
    config = checkpoint.config
    aside = [name for name in checkpoint.stored.stored if name.startswith(IMAGES)] if "family" in found else []
    if aside:
        found.doubts.append(f"images are not read: {len(aside)} tensors of its vision tower are left out")
    claimed = config.get("max_position_embeddings")
    if (
        isinstance(claimed, int)
        and found.get("context")
        and claimed > found["context"] + checkpoint.shape.first_position
    ):
        found.doubts.append(f"config.json claims a context of {claimed}, and its authors state {found['context']}")
    free = available(torch.device("cpu"))
    if found.get("memory") and free is not None and min(found["memory"].values()) > free:
        found.doubts.append(f"it fits this computer's memory in no format: {shown(free)} are free")


def _of_run(saved: Saved) -> dict[str, Any]:
    """A directory of our own. UserError where there is no manifest, or one that is not read."""
    found = Facts()
    found |= {"family": OWN, "license": license_in(saved.directory), "head": saved.manifest["head"]}
    with found.needed():
        found |= _of_network(saved.shape, Sizes.of(saved.outline))
        found["head"] = saved.head
    with found.needed():
        found["dtype"] = _formats(saved.tensors.stored.values())
    with found.needed():
        tokenizer = saved.tokenizer
        found["tokenizer"] = _described(tokenizer)
        rows = {name: getattr(tokenizer.vocabulary, name) for name in ROLES}
        source = TOKENIZER if isinstance(tokenizer, Tokenizer) else MANIFEST
        found["ids"] = {name: Role() if row is None else Role(row, source) for name, row in rows.items()}
        found["noise"] = _noise(saved)
    return found.complete()


def _noise(saved: Saved) -> str:
    """What becomes of a token, by the name of the process or of the destination."""
    described = describe_process(saved.process)
    destination = described.get("destination")
    return str(destination["kind"] if isinstance(destination, Mapping) else described.get("kind"))


def _described(tokenizer: Codec) -> dict[str, Any]:
    around = tokenizer.surroundings
    return {
        "kind": tokenizer.kind,
        "tokens": sum(map(bool, tokenizer.tokens)),
        "start": tokenizer.start,
        "around": [list(around.before), list(around.after)] if around.size else None,
    }
