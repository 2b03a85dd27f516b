"""Weights take the memory that they need, once; a model that needs more than there is is refused before it is read."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from recorded import ROOT

import undiffuse as ud
from benchmarks.loading import Case, child
from undiffuse.errors import UserError
from undiffuse.language_model import memory, stored_tensors
from undiffuse.models.int8 import Int8
from undiffuse.models.parts import Concatenated, Copied, Split, Stacked

SMALL = Case("bfloat16", "bfloat16", layers=2, width=1024, hidden=4096)


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [SMALL, replace(SMALL, shards=3), replace(SMALL, asked="float32"), replace(SMALL, stored="float32", own=True)],
    ids=["one file", "sharded", "another format", "a run"],
)
def test_no_second_copy_is_made(case):
    found = child(case, threads=1)
    assert found["weights"] > 50e6
    assert found["peak"] - found["imports"] <= 1.15 * found["weights"]


@dataclass(frozen=True)
class Padded(Copied):
    """A parameter with a row of zeros that is published without it: what is written is a view, and not all of it."""

    def shapes(self, parameters):
        return [(parameters[0][0] - 1, *parameters[0][1:])]

    def read(self, tensors):
        return (torch.cat((tensors[0], torch.zeros_like(tensors[0][:1]))),)

    def write(self, parameters):
        return (parameters[0][:-1],)


@pytest.mark.parametrize(
    ("part", "shapes"),
    [
        (Padded("p", "a"), [(4, 3)]),
        (Copied("p", "a"), [(4, 3)]),
        (Concatenated("p", ("a", "b"), (1, 3)), [(4, 3)]),
        (Split(("p", "q"), "a", (1, 3)), [(1, 3), (3, 3)]),
        (Stacked("p", ("a", "b")), [(2, 4, 3)]),
    ],
)
def test_a_part_is_filled_in_another_format(part, shapes):
    held = {str(number): torch.randn(shape) for number, shape in enumerate(part.shapes(shapes))}

    class Held(stored_tensors.TensorFiles):
        def get(self, stored):
            return held[stored.name]

    stored = [stored_tensors.Stored("", name, tuple(t.shape), "F32", t.dtype) for name, t in held.items()]
    parameters = [torch.full(shape, math.nan, dtype=torch.bfloat16) for shape in shapes]
    narrow = [Int8.empty(shape, torch.bfloat16) for shape in shapes]
    stored_tensors.fill(part, parameters, stored, Held())
    stored_tensors.fill(part, narrow, stored, Held())
    for found, small, expected in zip(parameters, narrow, part.read(list(held.values())), strict=True):
        assert torch.equal(found, expected.bfloat16())
        whole = Int8.empty(expected.shape, torch.bfloat16)
        whole.copy_(expected)
        assert torch.equal(small.numbers, whole.numbers)
        assert torch.equal(small.scales, whole.scales)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_a_model_larger_than_the_memory_is_refused_before_it_is_read(monkeypatch, dtype, model, tmp_path):
    model.save(tmp_path / "run")
    for directory in (ROOT / "llada" / "checkpoint", tmp_path / "run"):
        numbers = sum(p.numel() for p in ud.load(directory).predictor.denoiser.parameters())
        width = 4 if dtype is None else 2
        with monkeypatch.context() as patch:
            patch.setattr(memory, "available", lambda device, room=numbers * width: room)
            ud.load(directory, dtype=dtype)
            patch.setattr(stored_tensors.Tensors, "read", None)
            patch.setattr(memory, "available", lambda device, room=numbers * width - 1: room)
            with pytest.raises(UserError) as refused:
                ud.load(directory, dtype=dtype)
        name, size = "float32" if width == 4 else "bfloat16", f"{numbers * width / 1024:.0f} KiB"
        said = f"its {numbers:,} numbers of {width} bytes ({name}) are {size}"
        assert said in str(refused.value)
        assert ("--dtype bfloat16" in str(refused.value)) == (dtype is None)


def test_what_limits_on_control_groups_leave(tmp_path):
    listed, root = tmp_path / "cgroup", tmp_path / "fs"
    listed.write_text("4:cpu,memory:/a/b\n3:cpu:/x\n0::/c\n")
    for folder, limit, used, stat in (
        ("memory/a/b", "1000", "600", "cache 5\ntotal_inactive_file 50\n"),
        ("memory/a", "9000", "800", ""),
        ("c", "max", "700", "inactive_file 70\n"),
        ("", "500", "700", ""),
    ):
        old = folder.startswith("memory")
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / ("memory.limit_in_bytes" if old else "memory.max")).write_text(limit)
        (root / folder / ("memory.usage_in_bytes" if old else "memory.current")).write_text(used)
        (root / folder / "memory.stat").write_text(stat)
    assert list(memory._of_groups(listed, root)) == [450, 8200, 0]
    assert list(memory._of_groups(tmp_path / "none", root)) == []


def test_memory_of_this_machine():
    assert 1 << 20 < memory.available(torch.device("cpu")) < 1 << 45
    assert memory.available(torch.device("meta")) is None


def test_progress_ends_where_everything_is_read(model, tmp_path):
    model.save(tmp_path / "run")
    for directory in (ROOT / "sdar" / "checkpoint", tmp_path / "run"):
        told: list[tuple[int, int]] = []
        network = ud.load(directory, progress=lambda *count, told=told: told.append(count)).predictor.denoiser
        numbers = sum(p.numel() for p in network.parameters())
        assert told[-1] == (numbers, numbers)
        assert told == sorted(told)
        assert len(told) == len(list(network.parameters()))
