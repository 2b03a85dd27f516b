"""A model of our own on disk, each of its three files checked when it is read: manifest, tokenizer and weights."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import torch

from ..errors import UserError
from ..kinds import build_process, parameters_of, refuse_packages
from ..models.parts import Copied
from ..models.transformer import Transformer, TransformerConfig
from ..predictor import Predictor
from ..process.process import Process
from ..text.tokenizer import Tokenizer
from ..text.tokenizer_file import Published, read_tokenizer
from ..types import HeadKind
from ..vocabulary import Vocabulary
from .checkpoints import Progress, filled, outline
from .checksum import checksum
from .mapped import mapped
from .memory import require
from .no_model import no_model
from .stored_tensors import Tensors
from .trained import Trained

FORMAT = 1
OWN = "undiffuse"
"""The name of this layout, in the place of a family's."""
MANIFEST, WEIGHTS, TOKENIZER = "manifest.json", "model.safetensors", "tokenizer.json"


@dataclass(frozen=True, eq=False)
class Saved:
    """What a directory's manifest describes; every fact is found when it is asked for.

    A model with components of other packages needs those to be named in `plugins`.
    """

    directory: Path
    plugins: Collection[str] = ()

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """UserError where there is none, or one that this version does not read."""
        path = self.directory / MANIFEST
        if not path.is_file():
            raise no_model(self.directory)
        try:
            manifest = json.loads(_read(path))
        except ValueError as error:
            raise UserError(f"{path} is damaged ({error}); copy it again, or train again") from error
        needed = {"format", "model", "process", "head", "tokenizer", "weights"}
        if not isinstance(manifest, dict) or not needed <= manifest.keys():
            raise UserError(f"{path} was not written by undiffuse")
        if manifest["format"] != FORMAT:
            raise UserError(
                f"{self.directory} has format {manifest['format']}, and this version of undiffuse reads {FORMAT}: "
                "use the version that wrote it"
            )
        refuse_packages(manifest, self.plugins, str(self.directory))
        return manifest

    @cached_property
    def shape(self) -> TransformerConfig:
        spec = self.manifest["model"]
        unknown = spec.keys() - {"kind"} - {field.name for field in fields(TransformerConfig)}
        if spec.get("kind") != "transformer" or unknown:
            raise UserError(f"{self.directory / MANIFEST} describes a network that this version does not know: {spec}")
        return TransformerConfig(**parameters_of(TransformerConfig, spec))

    @cached_property
    def outline(self) -> Transformer:
        """The network without memory."""
        return outline(self.shape)

    @cached_property
    def tokenizer(self) -> Tokenizer | Published:
        path, described = self.directory / TOKENIZER, self.manifest["tokenizer"]
        content, roles = _read(path).decode(errors="replace"), described.get("roles")
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
            raise UserError(f"{path} belongs to another model: its digest is not the manifest's")
        return tokenizer

    @cached_property
    def process(self) -> Process:
        return build_process(self.manifest["process"], self.tokenizer.vocabulary)

    @cached_property
    def head(self) -> HeadKind:
        known, head = get_args(HeadKind), self.manifest["head"]
        if head not in known:
            raise UserError(f'{self.directory / MANIFEST} says "head": "{head}", which is none of {", ".join(known)}')
        return head

    @cached_property
    def tensors(self) -> Tensors:
        """Every parameter exactly once, by the header of their file."""
        tensors = Tensors.of_one_file(self.directory)
        expected = {name: value.shape for name, value in self.outline.state_dict().items()}
        shapes = {name: stored.shape for name, stored in tensors.stored.items()}
        if expected != shapes:
            wrong = sorted({*expected.items()} ^ {*shapes.items()})[0]
            raise UserError(
                f"{self.directory / WEIGHTS} does not fit its manifest, first at {wrong[0]} {list(wrong[1])}"
            )
        return tensors

    def described(self, network: Transformer | None = None) -> Trained:
        """The model with a network, or with one without memory."""
        predictor = Predictor(network or self.outline, self.process, self.head)
        return Trained(predictor, self.tokenizer, self.manifest, name=str(self.directory))

    def load(
        self, devices: Sequence[torch.device], dtype: torch.dtype | None, progress: Progress | None = None
    ) -> Trained:
        """The model, in float32 unless another format is asked for.

        UserError for weights that are more than there is memory, before any is taken, or not the manifest's.
        """
        self.described()
        dtype = dtype or torch.float32
        require(self.outline, dtype, devices, str(self.directory))
        with self._compared():
            parts = [Copied(name, name) for name in self.outline.state_dict()]
            network = filled(self.outline, parts, self.tensors, devices, dtype, progress)
        return self.described(network)

    @contextmanager
    def _compared(self) -> Iterator[None]:
        """Compares the checksum of the weights while they are read.

        UserError for another than the manifest's, whatever else was wrong with them.
        """
        path = self.directory / WEIGHTS
        try:
            content = mapped(path) if path.stat().st_size else b""
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}; the model is incomplete") from error
        with checksum(content) as found:
            try:
                yield
            except UserError:
                self._compare(found())
                raise
            self._compare(found())

    def _compare(self, found: str) -> None:
        path = self.directory / WEIGHTS
        if found != self.manifest["weights"]["sha256"]:
            raise UserError(
                f"{path} is not the file that was saved ({path.stat().st_size} bytes, wrong checksum): it is "
                "truncated or damaged; copy it again, or train again"
            )


def roles_of(tokenizer: Tokenizer | Published) -> Mapping[str, Any]:
    """The rows that are no text, of a published tokenizer, whose file does not say."""
    if isinstance(tokenizer, Tokenizer):
        return {}
    vocabulary = tokenizer.vocabulary
    start = {} if tokenizer.start is None else {"start": tokenizer.start}
    return {"roles": {**asdict(vocabulary), "reserved": sorted(vocabulary.reserved)}, **start}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; the model is incomplete") from error
