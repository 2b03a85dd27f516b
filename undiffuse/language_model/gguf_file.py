"""GGUF files: their metadata and where their tensors lie, from the header alone.

The package `gguf` reads the same in ten times as long; it is used for what it knows of quantization. A model in several
files (NAME-00001-of-00003.gguf, by llama.cpp's `llama-gguf-split`) is read from all of them, whichever is named: the
first holds the metadata, and each its own tensors.
"""

import mmap
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UserError
from .mapped import mapped

MAGIC, VERSIONS, ALIGNMENT = b"GGUF", (2, 3), 32
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
PART = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
DIMENSIONS = 4
"""Axes that a tensor may have."""


@dataclass(frozen=True)
class Entry:
    """A tensor: its shape, the number of its format, its file, mapped, and where its bytes begin there."""

    shape: tuple[int, ...]
    format: int
    offset: int
    path: Path
    data: mmap.mmap


@dataclass(frozen=True, eq=False)
class GGUFFile:
    """The metadata and the tensors of a file, or of the several files of one model, which is called by its first."""

    path: Path
    metadata: Mapping[str, Any]
    entries: Mapping[str, Entry]

    @classmethod
    def open(cls, path: Path) -> "GGUFFile":
        """UserError for a file that is no GGUF, of another version, cut off inside its header, or whose parts miss."""
        file = _opened(path)
        count = file.metadata.get("split.count", 0)
        return file if count in (0, 1) else _joined(file, count)


def _opened(path: Path) -> GGUFFile:
    """One file."""
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise UserError(f"{path} is not a GGUF file: it does not begin with {MAGIC.decode()}")
        data = mapped(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        return _parsed(path, data)
    except (struct.error, UnicodeDecodeError, IndexError) as error:
        raise UserError(f"{path} is truncated or damaged inside its header ({error}); copy it again") from error


def _joined(one: GGUFFile, count: int) -> GGUFFile:
    """All parts of a model, found by the name of one; UserError where one is missing, or of another model."""
    named = PART.fullmatch(one.path.name)
    if named is None or int(named["count"]) != count:
        raise UserError(
            f"{one.path} is one of {count} parts, which are found by their names: call them "
            f"NAME-00001-of-{count:05}.gguf and so on"
        )
    paths = [one.path.with_name(f"{named['stem']}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1)]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise UserError(f"{one.path} is one of {count} parts, and {', '.join(missing)} is missing beside it")
    parts = [_opened(path) for path in paths]
    entries: dict[str, Entry] = {}
    for number, part in enumerate(parts):
        said = part.metadata.get("split.no"), part.metadata.get("split.count")
        if said != (number, count):
            raise UserError(f"{part.path} says that it is part {said[0]} (from 0) of {said[1]}; copy it again")
        if twice := entries.keys() & part.entries.keys():
            raise UserError(f"{part.path}: tensor {min(twice)} is in another part too; copy all parts again")
        entries |= part.entries
    whole = parts[0].metadata.get("split.tensors.count", len(entries))
    if whole != len(entries):
        raise UserError(f"the {count} parts of {paths[0]} hold {len(entries)} tensors, not {whole}; copy them again")
    return GGUFFile(paths[0], parts[0].metadata, entries)


@dataclass
class _Cursor:
    """Reads one value after the other."""

    data: mmap.mmap
    at: int = field(default=len(MAGIC))

    def scalar(self, code: str) -> Any:
        return self.several(code, 1)[0]

    def several(self, code: str, count: int) -> tuple[Any, ...]:
        size = struct.calcsize(code) * count
        if self.at + size > len(self.data):
            raise IndexError(f"{size} bytes are asked for at byte {self.at} of {len(self.data)}")
        found = struct.unpack_from(f"<{count}{code}", self.data, self.at)
        self.at += size
        return found

    def string(self) -> str:
        length = self.scalar("Q")
        if self.at + length > len(self.data):
            raise IndexError(f"{length} bytes are asked for at byte {self.at} of {len(self.data)}")
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            inner, count = self.scalar("I"), self.scalar("Q")
            if inner in SCALARS:
                return list(self.several(SCALARS[inner], count))
            return [self.value(inner) for _ in range(count)]
        if kind not in SCALARS:
            raise IndexError(f"a value has the unknown kind {kind}")
        return self.scalar(SCALARS[kind])


def _parsed(path: Path, data: mmap.mmap) -> GGUFFile:
    cursor = _Cursor(data)
    version = cursor.scalar("I")
    if version not in VERSIONS:
        order = " (or its bytes are in the order of other processors)" if not version & 0xFFFF else ""
        raise UserError(f"{path} is GGUF of version {version}{order}, and versions 2 and 3 are read: convert it anew")
    tensors, keys = cursor.several("Q", 2)
    metadata: dict[str, Any] = {}
    for _ in range(keys):
        name = cursor.string()
        metadata[name] = cursor.value(cursor.scalar("I"))
    found = {}
    for _ in range(tensors):
        name, axes = cursor.string(), cursor.scalar("I")
        if axes > DIMENSIONS:
            raise IndexError(f"tensor {name} has {axes} axes")
        shape = tuple(reversed(cursor.several("Q", axes)))
        found[name] = shape, cursor.scalar("I"), cursor.scalar("Q")
    step = metadata.get("general.alignment", ALIGNMENT)
    if not isinstance(step, int) or step < 8 or step % 8:
        raise IndexError(f"its alignment is {step!r}")
    begin = -(-cursor.at // step) * step
    askew = next((name for name, (_, _, offset) in found.items() if offset % step), None)
    if askew is not None:
        raise IndexError(f"tensor {askew} begins between multiples of {step} bytes")
    entries = {name: Entry(shape, kind, begin + offset, path, data) for name, (shape, kind, offset) in found.items()}
    return GGUFFile(path, metadata, entries)
