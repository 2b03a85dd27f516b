"""Safetensors files: a header in JSON that says where every tensor lies, and their bytes.

Read here, and not by the library, for the sake of files that are larger than the memory, which it cannot map, and of
errors that say how much of a file is missing.
"""

import json
import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from .mapped import mapped

FORMATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
OTHERS = {"I64": 8, "U64": 8, "I32": 4, "U32": 4, "I16": 2, "U16": 2, "I8": 1, "U8": 1, "BOOL": 1, "C64": 8}
POINTER = b"version https://git-lfs"
"""How the file begins that Git leaves in place of a large one."""
LARGEST = 100_000_000
"""Bytes of a header, as the library has it."""


@dataclass(frozen=True)
class Entry:
    """A tensor by its header: format, shape, and where its bytes begin in the file."""

    format: str
    shape: tuple[int, ...]
    offset: int
    size: int


def header_of(path: Path) -> dict[str, Entry]:
    """Every tensor of a file by its name. UserError for a file that is damaged, or not all there."""
    try:
        held = path.stat().st_size
        with path.open("rb") as file:
            begin = file.read(max(8, len(POINTER)))
            if begin == POINTER:
                raise pointer(path)
            length = int.from_bytes(begin[:8], "little")
            if len(begin) < 8 or (length <= LARGEST and held < 8 + length):
                raise _unread(path, f"it ends inside its header, at byte {held}")
            if length > LARGEST:
                raise _unread(path, "it is no safetensors file: its header would be larger than any")
            file.seek(8)
            header = json.loads(file.read(length))
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror or error}); copy it again") from error
    except (ValueError, RecursionError) as error:
        raise _unread(path, f"its header is no JSON: {error}") from error
    if not isinstance(header, dict):
        raise _unread(path, "its header is no object")
    header.pop("__metadata__", None)
    entries = entries_of(path, header, 8 + length)
    _check_whole(path, entries, 8 + length, held)
    return entries


def entries_of(path: Path, header: Mapping[str, Any], begin: int = 0) -> dict[str, Entry]:
    """Every tensor by its name, given what the header of a file says of each, and where their bytes begin."""
    return {name: _entry(path, name, said, begin) for name, said in header.items()}


def tensor_of(data: mmap.mmap, entry: Entry) -> Tensor:
    """A tensor of a mapped file, which shares its memory."""
    dtype = FORMATS[entry.format]
    if not entry.size:
        return torch.empty(entry.shape, dtype=dtype)
    where: Any = data
    offset = entry.offset
    if offset % dtype.itemsize:  # old files are not padded, and numbers must lie at multiples of their size
        where, offset = bytearray(data[offset : offset + entry.size]), 0
    return torch.frombuffer(where, dtype=dtype, count=math.prod(entry.shape), offset=offset).view(entry.shape)


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """A new file of tensors of a processor, one written after the other: no second copy of all is made."""
    names = {dtype: name for name, dtype in FORMATS.items()}
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))  # so that numbers are aligned
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name in order:
        tensor = tensors[name]
        offsets = [at, at := at + tensor.numel() * tensor.dtype.itemsize]
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            file.write(tensors[name].contiguous().flatten().view(torch.uint8).numpy())


def pointer(path: Path) -> UserError:
    return UserError(f"{path} is a Git LFS pointer and not the file itself: fetch it with `git lfs pull`")


def _entry(path: Path, name: str, said: object, begin: int) -> Entry:
    """UserError for anything but a format, a shape and two offsets that fit them."""
    try:
        assert isinstance(said, Mapping)
        kind, shape, (first, last) = said["dtype"], said["shape"], said["data_offsets"]
        numbers = [*shape, first, last]
        assert isinstance(kind, str)
        assert all(type(number) is int and number >= 0 for number in numbers)
    except (AssertionError, KeyError, TypeError, ValueError):
        raise _unread(path, f"its header says of {name[:80]!r} what is no tensor") from None
    width = FORMATS[kind].itemsize if kind in FORMATS else OTHERS.get(kind)
    if last < first or (width is not None and last - first != math.prod(shape) * width):
        raise _unread(path, f"its header gives {name!r} {last - first} bytes, which a {kind} of {shape} does not have")
    return Entry(kind, tuple(shape), begin + first, last - first)


def _check_whole(path: Path, entries: Mapping[str, Entry], begin: int, held: int) -> None:
    """UserError unless tensors follow each other to the end of the file."""
    end = max((entry.offset + entry.size for entry in entries.values()), default=begin)
    if held < end:
        raise _unread(path, f"it is truncated: its header describes {end} bytes, and it has {held}")
    at = begin
    for entry in sorted(entries.values(), key=lambda entry: (entry.offset, entry.size)):
        if entry.offset != at:
            raise _unread(path, f"its tensors overlap, or leave bytes out, at byte {min(at, entry.offset)}")
        at += entry.size
    if held > end:
        raise _unread(path, f"it has {held - end} bytes after its last tensor")


def _unread(path: Path, why: str) -> UserError:
    return UserError(f"cannot read {path} ({why}); copy it again")


def mapped_file(path: Path) -> mmap.mmap:
    """UserError for a file that cannot be mapped."""
    try:
        return mapped(path)
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror or error}); copy it again") from error
