"""Public checkpoints on disk: config.json, safetensors in one file or several, and the tokenizer's files if there are.

No code of the directory is run, and nothing is read but JSON and tensors. The network is built without memory and takes
the tensors as they come, each exactly once; rotary tables are computed, never read.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast, get_args

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ..errors import UserError, did_you_mean
from ..kinds import CHECKPOINT_FAMILIES
from ..models.base import Network
from ..models.family import CheckpointFamily, Keys, Shape
from ..models.parts import Part
from ..models.transformer import Transformer, TransformerConfig
from ..models.unread import refuse_unread
from ..predictor import Predictor
from ..process.destinations.mask import Mask
from ..process.destinations.uniform import Uniform
from ..process.interpolating import Interpolating
from ..process.schedules.affine import Affine
from ..process.schedules.one_minus_t import OneMinusT
from ..text.codec import Codec
from ..text.older_files import byte_pairs, word_pieces
from ..text.published_tokenizer import Cut, NoTokenizer, PublishedTokenizer
from ..text.tokenizer_file import read_tokenizer
from ..vocabulary import Vocabulary
from . import elsewhere, voice
from .memory import require
from .number_formats import blank
from .overrides import KEY, NOTHING, Overrides
from .published_files import PublishedFiles
from .special_ids import added_ids, start_of, vocabulary_of
from .stored_tensors import CONFIG, Tensors
from .trained import Trained

Progress = Callable[[int, int], None]
"""Is told how many numbers are read, and of how many."""
NOISE: dict[str, Callable[[Vocabulary], Interpolating]] = {
    "mask": lambda vocabulary: Interpolating(vocabulary, OneMinusT(), Mask()),
    "uniform": lambda vocabulary: Interpolating(vocabulary, Affine(), Uniform()),
    "none": lambda vocabulary: Interpolating(vocabulary, OneMinusT(), Uniform()),
}
"""What families are trained to undo; a causal network without a mask undoes nothing, and sees nothing of what it is."""
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "vocab.json",
)


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A model in a public layout as its headers describe it; every fact is found when it is asked for.

    Layouts of other packages are looked at if `plugins` names those.
    """

    files: PublishedFiles
    overrides: Overrides = NOTHING
    plugins: Collection[str] = ()

    @property
    def where(self) -> Path:
        return self.files.where

    @cached_property
    def config(self) -> dict[str, Any]:
        return self.files.json(CONFIG)

    @cached_property
    def said(self) -> Overrides:
        """What overrules the config, given or kept in it."""
        return self.overrides.over(self.config)

    @cached_property
    def stored(self) -> Tensors:
        """The tensors by the names that they have in the files."""
        return self.files.tensors()

    @cached_property
    def _recognized(self) -> tuple[str, CheckpointFamily]:
        return _recognized(self.config, self.stored.stored, self.said.family, self.where, self.plugins)

    @property
    def family(self) -> str:
        return self._recognized[0]

    @cached_property
    def layout(self) -> CheckpointFamily:
        return self._recognized[1].variant(self.config, self.stored.stored)

    @cached_property
    def tensors(self) -> Tensors:
        """The tensors by the names that the layout knows."""
        layout = self.layout  # what is wrong with the config comes first
        return self.stored.spelled(layout.spelled)

    @cached_property
    def flat(self) -> Mapping[str, Any]:
        """The config with all keys in one place."""
        return self.layout.flat(self.config)

    @cached_property
    def shape(self) -> Shape:
        held = self.tensors.stored
        keys = Keys(self.flat, {name: stored.shape for name, stored in held.items()})
        shape = self.said.applied(self.layout.network(keys))
        if shape.depth > len(held):
            raise UserError(
                f"{self.where}: its {CONFIG} describes {shape.depth} layers, and it holds {len(held)} tensors"
            )
        return shape

    @cached_property
    def parts(self) -> list[Part]:
        """Every parameter with its tensors. UserError where one is missing, left over, or of another shape."""
        parts = self.layout.parts(self.shape)
        self.tensors.check(parts, self.layout.inert, self.layout.apart)
        expected, named = self.parameters, {name for part in parts for name in part.parameters}
        assert expected.keys() == named, expected.keys() ^ named
        self.tensors.check_shapes(parts, expected)
        return parts

    @cached_property
    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        """Every parameter of the network, with its shape; no package that computes it is needed."""
        if self.layout.package is not None:
            return self.layout.shapes(self.shape)
        return {name: tuple(value.shape) for name, value in self.outline.state_dict().items()}

    @cached_property
    def outline(self) -> Network:
        """The network without memory. UserError where a package that computes it is missing."""
        if self.layout.package is not None:
            return elsewhere.outline(self.family, self.layout.package, self.shape, self.parameters)
        assert isinstance(self.shape, TransformerConfig)
        return outline(self.shape)

    @cached_property
    def tokenizer_files(self) -> dict[str, dict[str, Any]]:
        found = {name: self.files.json(name) for name in TOKENIZER_FILES}
        if not found["tokenizer.json"]:
            found["tokenizer.json"] = self._older(found)
        return found

    def _older(self, found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """The content of a tokenizer.json, of files that the family's tokenizers were kept in before there was one."""
        settings = {**found["special_tokens_map.json"], **found["tokenizer_config.json"]}
        match self.layout.cut:
            case "bert" if (vocabulary := self.files.text("vocab.txt")) is not None:
                return word_pieces(vocabulary, settings)
            case "roberta" if found["vocab.json"] and (merges := self.files.text("merges.txt")) is not None:
                return byte_pairs(found["vocab.json"], merges, settings)
        return {}

    @cached_property
    def generation(self) -> dict[str, Any]:
        return self.files.json("generation_config.json")

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return vocabulary_of(self.shape, self.layout, self.flat, self.tokenizer_files, self.said.mask_id)

    @cached_property
    def tokenizer(self) -> Codec:
        led = self.shape.causal or self.layout.fills
        start = start_of(self.flat, self.tokenizer_files) if led else None
        return _tokenizer(self.files, self.tokenizer_files, self.vocabulary, start, self.layout.cut)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The family, the config with what overrules it, and what is said of sampling and of conversations."""
        stored = {**self.config, **({KEY: self.said.stored} if self.said.stored else {})}
        chat = voice.read(self.files.text(voice.FILE), self.flat, self.tokenizer_files, self.generation)
        known = self.layout.sampling(self.generation)
        return {"layout": self.family, "config": stored, **({"sampling": known} if known else {}), **chat}

    @property
    def noise(self) -> str:
        """What it is trained to undo."""
        return "none" if self.shape.causal and self.vocabulary.mask is None else self.layout.noise

    @cached_property
    def process(self) -> Interpolating:
        return NOISE[self.noise](self.vocabulary)

    @property
    def template_source(self) -> str:
        """The file that a chat template of its own is in."""
        return voice.FILE if self.files.text(voice.FILE) is not None else self.files.template_source

    @property
    def dtype(self) -> torch.dtype:
        """How it is stored: of several formats the narrowest that holds all."""
        return self.tensors.format(self.parts)

    def described(self, network: Network | None = None) -> Trained:
        """The model with a network, or with one without memory."""
        predictor = Predictor(network or self.outline, self.process, self.layout.predicts)
        return Trained(predictor, self.tokenizer, self.manifest, name=str(self.where))

    def load(
        self,
        devices: Sequence[torch.device],
        dtype: torch.dtype | None = None,
        progress: Progress | None = None,
    ) -> Trained:
        """The model, in `dtype` or as it is stored, on the first device, or on all if that has no room for it.

        UserError if it takes more memory than there is, before anything is read.
        """
        parts = self.parts  # whatever is wrong is wrong before memory is taken
        self.described()
        dtype = dtype or self.dtype
        return self.described(filled(self.outline, parts, self.tensors, devices, dtype, progress))


class Uninitialized(TorchFunctionMode):
    """Skips the initializers of `torch.nn.init`: without memory they do nothing, and the first takes four seconds."""

    def __torch_function__(
        self, function: Callable, types: object, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(function, "__module__", None) == "torch.nn.init":
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return function(*args, **kwargs)


def filled(
    network: Network,
    parts: Sequence[Part],
    tensors: Tensors,
    devices: Sequence[torch.device],
    dtype: torch.dtype,
    progress: Progress | None = None,
) -> Network:
    """A network without memory, with its tensors. UserError if all take more memory than there is."""
    layers = require(network, dtype, devices, str(tensors.directory))
    place: dict[int | None, torch.device] = {None: devices[0], **dict(enumerate(layers))}
    where = {name: place[network.layer_of(name)] for name in network.state_dict()}
    if set(layers) - {devices[0]}:
        network.spread(layers)
    whole, done = sum(p.numel() for p in network.state_dict().values()), 0
    parameters: dict[str, Tensor] = {}
    for name, value in tensors.read(parts, blank(network, dtype, where)):
        parameters[name] = value
        done += value.numel()
        if progress is not None:
            progress(done, whole)
    network.load_state_dict(parameters, assign=True)
    return network.eval().requires_grad_(False)


def outline(shape: TransformerConfig) -> Transformer:
    """A network without memory: names and shapes of its parameters."""
    with torch.device("meta"), Uninitialized():
        return Transformer(shape)


def _recognized(
    config: Mapping[str, Any],
    tensors: Collection[str],
    family: str | None,
    directory: Path,
    plugins: Collection[str] = (),
) -> tuple[str, CheckpointFamily]:
    refuse_unread(config, str(directory))
    if family is not None:
        return family, CHECKPOINT_FAMILIES.load(family)()
    layouts: dict[str, CheckpointFamily] = {
        kind: CHECKPOINT_FAMILIES.load(kind)() for kind in CHECKPOINT_FAMILIES.allowed(plugins)
    }
    found = [kind for kind, layout in layouts.items() if layout.recognizes(config, tensors)]
    if len(found) != 1:
        kind, example = str(config.get("model_type")), min(tensors, default="")
        if kind.lower() in layouts:
            raise UserError(
                f"{directory} says model_type {kind!r}, and its tensors, such as {example!r}, are not of that layout: "
                "it is another layout under the same name, and is not read"
            )
        raise UserError(
            f"{directory}: model_type {kind!r} with tensors such as {example!r} is no layout that is "
            f"read{did_you_mean(kind, layouts)}; if it is one of them under another name, say "
            "which: load(directory, family=…), or --family"
        )
    return found[0], layouts[found[0]]


def _tokenizer(
    directory: PublishedFiles,
    files: Mapping[str, Mapping[str, Any]],
    vocabulary: Vocabulary,
    start: int | None,
    cut: str | None,
) -> Codec:
    if files["tokenizer.json"]:
        return read_tokenizer(files["tokenizer.json"], vocabulary, start)
    if cut in get_args(Cut) and files["vocab.json"] and (merges := directory.text("merges.txt")) is not None:
        return PublishedTokenizer.from_merges(
            files["vocab.json"], merges, vocabulary, added_ids(files), start, cast(Cut, cut)
        )
    return NoTokenizer(vocabulary, str(directory.where), directory.no_tokenizer)
