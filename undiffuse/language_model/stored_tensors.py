"""The tensors of a public checkpoint: which file holds each, in what shape and number format, all checked by name."""

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from mmap import mmap
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from ..models.int8 import storage_of
from ..models.parts import Part
from .no_model import pickled
from .safetensors_file import FORMATS, POINTER, Entry, header_of, mapped_file, pointer, tensor_of

HeaderOf = Callable[[Path], dict[str, Entry]]
CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
INERT_TENSORS = ("rotary_emb.inv_freq",)  # rotary tables that old files hold


@dataclass(frozen=True)
class Stored:
    """A tensor as its file describes it, and its name there. `dtype` holds its numbers (None: they are not read)."""

    file: str
    name: str
    shape: tuple[int, ...]
    format: str
    dtype: torch.dtype | None


class TensorFiles(ABC):
    """Where tensors are read from."""

    @abstractmethod
    def get(self, stored: Stored) -> Tensor:
        """All of a tensor."""

    def copy(self, stored: Stored, place: Tensor) -> None:
        """The numbers of a tensor, into memory of its shape."""
        place.copy_(self.get(stored))


@dataclass(frozen=True)
class Safetensors(TensorFiles):
    """Files of a directory, mapped when they are first read."""

    directory: Path
    headers: Mapping[str, Mapping[str, Entry]]

    @cached_property
    def _mapped(self) -> dict[str, mmap]:
        return {}

    def get(self, stored: Stored) -> Tensor:
        if stored.file not in self._mapped:
            self._mapped[stored.file] = mapped_file(self.directory / stored.file)
        return tensor_of(self._mapped[stored.file], self.headers[stored.file][stored.name])


@dataclass(frozen=True)
class Tensors:
    """The tensors of a directory by name; none is read yet. `directory` may be the one file that holds all."""

    directory: Path
    stored: Mapping[str, Stored]
    files: TensorFiles

    @classmethod
    def of(cls, directory: Path, header: HeaderOf | None = None) -> "Tensors":
        """From the index, or the only file; UserError where a tensor is missing from its file, or in two.

        `header` reads that of a file which need not be here; None: all are.
        """
        if not (directory / INDEX).is_file():
            return cls.of_one_file(directory, header)
        place = _index(directory)
        headers = {file: (header or header_of)(directory / file) for file in sorted(set(place.values()))}
        held = _described(headers)
        twice = [
            name for name, count in Counter(name for names in held.values() for name in names).items() if count > 1
        ]
        if twice:
            raise UserError(f"{directory}: tensor {twice[0]} is in more than one file; copy the directory again")
        for file, names in held.items():
            for name in {name for name, where in place.items() if where == file} ^ names.keys():
                raise UserError(f"{directory}: {INDEX} and {file} disagree about tensor {name}; copy both again")
        found = {name: held[file][name] for name, file in place.items()}
        return cls(directory, found, Safetensors(directory, headers))

    @classmethod
    def of_one_file(cls, directory: Path, header: HeaderOf | None = None) -> "Tensors":
        """From the only file, whatever an index says."""
        if header is None and not (directory / WEIGHTS).is_file():
            raise _no_weights(directory)
        headers = {WEIGHTS: (header or header_of)(directory / WEIGHTS)}
        return cls(directory, _described(headers)[WEIGHTS], Safetensors(directory, headers))

    def spelled(self, name: Callable[[str], str]) -> "Tensors":
        """The same tensors by other names. UserError where two would have one."""
        stored = {name(old): tensor for old, tensor in self.stored.items()}
        if len(stored) < len(self.stored):
            twice = next(new for new, count in Counter(map(name, self.stored)).items() if count > 1)
            raise UserError(f"{self.directory}: tensor {twice} is stored under two names; copy the directory again")
        return replace(self, stored=stored)

    def check(self, parts: Sequence[Part], inert: tuple[str, ...] = (), apart: tuple[str, ...] = ()) -> None:
        """UserError unless each tensor has exactly one place, and holds numbers that can be computed with.

        Names that end with one of `inert`, or begin with one of `apart`, may lie beside them.
        """
        needed = {name for part in parts for name in part.tensors}
        for name in sorted(needed & self.stored.keys()):
            if self.stored[name].dtype is None:
                raise UserError(
                    f"{self.directory}: {name} is stored as {self.stored[name].format}, and quantized weights are not "
                    "read: take the checkpoint in bfloat16, float16 or float32"
                )
        beside = sorted(self.stored.keys() - needed)
        extra = [name for name in beside if not (name.endswith(INERT_TENSORS + inert) or name.startswith(apart))]
        missing = sorted(needed - self.stored.keys())
        if missing or extra:
            raise UserError(
                f"{self.directory} does not hold the network that its {CONFIG} describes"
                + (f"; missing: {_some(missing)}" if missing else "")
                + (f"; unexpected: {_some(extra)}" if extra else "")
            )

    def format(self, parts: Sequence[Part]) -> torch.dtype:
        """The number format of all, or where they differ the narrowest that holds every one of them exactly.

        What is wide in any case does not count.
        """
        found = (self.stored[name].dtype for part in parts if not part.wide for name in part.tensors)
        return reduce(torch.promote_types, (dtype for dtype in found if dtype is not None))

    def check_shapes(self, parts: Sequence[Part], shapes: Mapping[str, Sequence[int]]) -> None:
        """UserError where a tensor has another shape than its part of the parameters has."""
        for part in parts:
            for name, shape in zip(part.tensors, part.shapes([shapes[p] for p in part.parameters]), strict=True):
                if self.stored[name].shape != tuple(shape):
                    raise UserError(
                        f"{self.directory}: {name} has shape {list(self.stored[name].shape)}, and its {CONFIG} "
                        f"describes {list(shape)}"
                    )

    def read(self, parts: Sequence[Part], blank: Callable[[str, bool], Tensor]) -> Iterator[tuple[str, Tensor]]:
        """Every parameter by name, in the memory that is made for it, to which the mapped files are copied once.

        `blank` is told the name, and whether the parameter is wide in any format.
        """
        for part in parts:
            parameters = [blank(name, part.wide) for name in part.parameters]
            fill(part, parameters, [self.stored[name] for name in part.tensors], self.files)
            yield from zip(part.parameters, parameters, strict=True)


def fill(part: Part, parameters: Sequence[Tensor], stored: Sequence[Stored], files: TensorFiles) -> None:
    """Copy tensors to where they belong in the parameters, changing their number format on the way."""
    places = part.write(parameters)
    inside = {storage_of(parameter) for parameter in parameters}
    whole = sum(place.numel() for place in places) == sum(parameter.numel() for parameter in parameters)
    if whole and all(storage_of(place) in inside for place in places):
        for place, tensor in zip(places, stored, strict=True):
            files.copy(tensor, place)
    else:
        for parameter, made in zip(parameters, part.read([files.get(tensor) for tensor in stored]), strict=True):
            parameter.copy_(made)


def files_of_index(directory: Path) -> list[str]:
    """The shards of a directory, whether they are there or not. UserError for an index that names others."""
    return sorted(set(_index(directory).values()))


def _index(directory: Path) -> dict[str, str]:
    """The file of every tensor."""
    place = read_json(directory / INDEX).get("weight_map")
    if not isinstance(place, dict) or not all(isinstance(file, str) and file for file in place.values()):
        raise UserError(f"{directory / INDEX} has no weight_map of tensors to files; copy it again")
    for file in place.values():
        if Path(file).name != file:
            raise UserError(f"{directory / INDEX} names {file!r}, which is no file of this directory; copy it again")
        if not file.endswith(".safetensors"):
            raise UserError(f"{directory / INDEX} names {file!r}, and weights are read from safetensors alone")
    return place


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file, nothing where there is no file."""
    if not path.is_file():
        return {}
    content = path.read_bytes()
    if content.startswith(POINTER):
        raise pointer(path)
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged ({error}); copy it again") from error
    if not isinstance(found, dict):
        raise UserError(f"{path} does not hold a JSON object; copy it again")
    return found


def _described(headers: Mapping[str, Mapping[str, Entry]]) -> dict[str, dict[str, Stored]]:
    """The tensors of each file."""
    return {
        file: {
            name: Stored(file, name, entry.shape, entry.format, FORMATS.get(entry.format))
            for name, entry in header.items()
        }
        for file, header in headers.items()
    }


def _no_weights(directory: Path) -> UserError:
    said = pickled(directory) or "download its weights as safetensors"
    return UserError(f"{directory} has a {CONFIG} and neither {WEIGHTS} nor {INDEX}: {said}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
