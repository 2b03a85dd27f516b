"""Safetensors files: what the library writes is read, and everything else is one error."""

import json
import os
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from undiffuse.errors import UserError
from undiffuse.language_model.mapped import mapped
from undiffuse.language_model.safetensors_file import header_of, tensor_of

TENSORS = {
    "a": torch.randn(3, 5),
    "b.c": torch.randn(2, 4, 3).bfloat16(),
    "d": torch.randn(7).half(),
    "e": torch.tensor(2.5, dtype=torch.float64),
    "f": torch.empty(0, 4),
}


def written(path: Path, header: dict | str, data: bytes = b"") -> Path:
    text = header if isinstance(header, str) else json.dumps(header)
    path.write_bytes(struct.pack("<Q", len(text.encode())) + text.encode() + data)
    return path


def test_what_the_library_writes(tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({**TENSORS, "g": torch.ones(3, dtype=torch.int8)}, path, metadata={"format": "pt"})
    header, data = header_of(path), mapped(path)
    assert header.keys() == TENSORS.keys() | {"g"}
    assert header["g"].format == "I8"
    for name, value in TENSORS.items():
        found = tensor_of(data, header[name])
        assert found.dtype == value.dtype
        assert torch.equal(found, value)


def test_numbers_between_multiples_of_their_size(tmp_path):
    value = np.arange(6, dtype=np.float32)
    header = {"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    for pad in range(4):
        path = written(tmp_path / f"{pad}", json.dumps(header) + " " * pad, value.tobytes())
        found = tensor_of(mapped(path), header_of(path)["a"])
        assert found.flatten().tolist() == value.tolist()
        assert found.data_ptr() % 4 == 0


def entry(first: int, last: int, shape=(2,), dtype="F32") -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [first, last]}


@pytest.mark.parametrize(
    ("header", "data", "said"),
    [
        ({"a": entry(0, 8)}, b"\0" * 7, r"it is truncated: its header describes \d+ bytes, and it has \d+"),
        ({"a": entry(0, 8)}, b"\0" * 9, "it has 1 bytes after its last tensor"),
        ({"a": entry(0, 8), "b": entry(4, 12)}, b"\0" * 12, "its tensors overlap, or leave bytes out"),
        ({"a": entry(0, 8), "b": entry(12, 20)}, b"\0" * 20, "its tensors overlap, or leave bytes out"),
        ({"a": entry(0, 12)}, b"\0" * 12, r"gives 'a' 12 bytes, which a F32 of \[2\] does not have"),
        ({"a": entry(8, 0)}, b"", "gives 'a' -8 bytes"),
        ({"a": entry(-8, 0)}, b"", "says of 'a' what is no tensor"),
        ({"a": entry(0, 8, (2.0,))}, b"\0" * 8, "says of 'a' what is no tensor"),
        ({"a": entry(0, 8, (True, 2))}, b"\0" * 8, "says of 'a' what is no tensor"),
        ({"a": {"dtype": "F32"}}, b"", "says of 'a' what is no tensor"),
        ({"a": 3}, b"", "says of 'a' what is no tensor"),
        ("[]", b"", "its header is no object"),
        ("{", b"", "its header is no JSON"),
        ("[" * 100_000, b"", "its header is no JSON"),
    ],
)
def test_headers_that_describe_no_file(header, data, said, tmp_path):
    with pytest.raises(UserError, match=said) as refused:
        header_of(written(tmp_path / "x", header, data))
    assert str(refused.value).endswith("copy it again")
    assert "\n" not in str(refused.value)


def test_cut_off_at_every_byte(tmp_path):
    path = tmp_path / "x"
    save_file(TENSORS, path)
    whole = path.read_bytes()
    for kept in (*range(12), *range(12, len(whole), 17), len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(UserError, match=r"it ends inside its header|it is truncated"):
            header_of(path)


def test_other_files(tmp_path):
    path = tmp_path / "x"
    for content, said in (
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
        (b"PK\x03\x04" + b"\xff" * 60, "it is no safetensors file"),
        (b"<!DOCTYPE html>" + b" " * 100, "it is no safetensors file"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=said):
            header_of(path)
    with pytest.raises(UserError, match="No such file"):
        header_of(tmp_path / "none")


def test_whatever_stands_in_a_header_there_is_no_other_error(tmp_path):
    path = tmp_path / "x"
    save_file(TENSORS, path)
    whole = path.read_bytes()
    size = 8 + int.from_bytes(whole[:8], "little")
    for seed in range(300):
        draw = np.random.default_rng(seed)
        content = bytearray(whole)
        for at in draw.integers(0 if seed % 3 else 8, size, 1 + seed % 4):
            content[at] = draw.integers(32, 127)
        path.write_bytes(content)
        with suppress(UserError):
            entries, data = header_of(path), mapped(path)
            for each in entries.values():
                if each.format in ("F64", "F32", "F16", "BF16"):
                    assert tensor_of(data, each).shape == each.shape


def test_a_file_larger_than_the_memory_is_mapped(tmp_path):
    path, size = tmp_path / "large", 2 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with path.open("wb") as file:
        file.truncate(size)
    assert mapped(path)[size - 1] == 0
