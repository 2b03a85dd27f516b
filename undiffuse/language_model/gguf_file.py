"""GGUF files: their metadata and where their tensors lie, from the header alone.

The package `gguf` reads the same in ten times as long; it is used for what it knows of quantization.
"""

import mmap
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
DIMENSIONS = 4
"""Axes that a tensor may have."""


@dataclass(frozen=True)
class Entry:
    """A tensor: its shape, the number of its format, and where its bytes begin in the file."""

    shape: tuple[int, ...]
    format: int
    offset: int


@dataclass(frozen=True, eq=False)
class GGUFFile:
    """The metadata and the tensors of a file; `data` is the whole file, mapped."""

    path: Path
    metadata: Mapping[str, Any]
    entries: Mapping[str, Entry]
    data: mmap.mmap

    @classmethod
    def open(cls, path: Path) -> "GGUFFile":
        """UserError for a file that is no GGUF, of another version, or cut off inside its header."""
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
    entries = {name: Entry(shape, kind, begin + offset) for name, (shape, kind, offset) in found.items()}
    return GGUFFile(path, metadata, entries, data)
