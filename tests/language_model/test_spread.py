"""Layers over several devices: the plan by enumeration, the pass as on one device, on devices that are pretended."""

import itertools
import random

import pytest
import torch
from pretended import Pretended
from recorded import OPTIONS, ROOT, golden, runs
from torch.overrides import TorchFunctionMode

import undiffuse as ud
from undiffuse.device import device_of, devices_of
from undiffuse.errors import UserError
from undiffuse.language_model import memory
from undiffuse.language_model.spread import spread
from undiffuse.models.branches import Branches
from undiffuse.types import Rows, State, Tags

FIRST, SECOND, THIRD = torch.device("cpu"), torch.device("meta", 1), torch.device("meta", 2)


def fullest(beside, layers, room, where):
    """The largest share that a device is filled to."""
    held = [sum(size for size, device in zip(layers, where, strict=True) if device == d) for d in range(len(room))]
    held[0] += beside
    return max(load / size if size else (1e9 if load else 0) for load, size in zip(held, room, strict=True))


def every_plan(depth, devices):
    return itertools.combinations_with_replacement(range(devices), depth)


def test_the_plan_leaves_the_most_room_of_all_plans():
    random.seed(0)
    refused = spreads = 0
    for _ in range(300):
        depth, devices = random.randint(1, 6), random.randint(1, 4)
        beside, layers = random.randint(0, 20), [random.randint(1, 12) for _ in range(depth)]
        room = [random.randint(0, 40) for _ in range(devices)]
        found = spread(beside, layers, room)
        best = min(fullest(beside, layers, room, where) for where in every_plan(depth, devices))
        if beside + sum(layers) <= room[0]:
            assert found == (0,) * depth
        elif best > 1:
            assert found is None
            refused += 1
        else:
            assert list(found) == sorted(found)
            assert fullest(beside, layers, room, found) == pytest.approx(best, abs=1e-6)
            spreads += 1
    assert min(refused, spreads) > 30


def test_a_device_that_says_nothing_of_its_memory_takes_all():
    assert spread(5, [3, 3], [float("inf"), 7]) == (0, 0)
    assert spread(5, [3, 3], [6, float("inf")]) == (1, 1)


@pytest.fixture
def pretended():
    with Pretended() as there:
        yield there


def loaded(monkeypatch, directory, shares=(0.5, 0.5, 0.5), **options):
    """A model of which three devices have room for shares."""
    monkeypatch.setattr("undiffuse.language_model.loading.devices_of", lambda name: (FIRST, SECOND, THIRD))
    size = sum(p.numel() * p.element_size() for p in ud.load(directory, **options).predictor.denoiser.parameters())
    free = dict(zip((FIRST, SECOND, THIRD), (int(share * size) for share in shares), strict=True))
    monkeypatch.setattr(memory, "available", free.__getitem__)
    return ud.load(directory, **options)


RUNS = {"llada": 2, "dream": 1, "sdar": 1}
"""How many of each family's."""


@pytest.mark.parametrize("family", RUNS)
def test_recorded_runs_are_the_same_on_three_devices(family, monkeypatch, pretended):
    """With their caches; a tensor of another device than the layer's would be refused."""
    known = golden(family)
    there = loaded(monkeypatch, known.model.trained.name)
    network = there.predictor.denoiser
    assert {name: p.device for name, p in network.named_parameters() if p.device != FIRST} == {
        name: (SECOND, THIRD)[int(name.split(".")[1])] for name, _ in network.named_parameters() if "blocks" in name
    }
    assert there.device == FIRST
    every = runs(family)
    for run in every[:: max(len(every) // RUNS[family], 1)]:
        options = OPTIONS[family](known.about["decode_runs"][run]["settings"])
        prompts = known.recorded(run, "prompt_ids")
        found, expected = there.decode(prompts, **options), known.model.decode(prompts, **options)
        for name in ("ids", "commit_step"):
            assert all(map(torch.equal, getattr(found, name), getattr(expected, name)))


@torch.no_grad()
def test_what_moves_moves_once_for_each_device_and_pass(monkeypatch, pretended):
    there = loaded(monkeypatch, golden("dream").model.trained.name)
    network = there.predictor.denoiser
    rows, kv = Rows(State(torch.arange(8)[None]), Tags(torch.arange(8)[None])), network.memory(1, 8)
    assert [held.device for held in kv.keys] == [held.device for held in kv.values] == [SECOND, THIRD]
    assert kv.filled.device == FIRST
    pretended.moves.clear()
    network.trunk(rows, kv)
    hidden = [(start, end) for shape, _, start, end in pretended.moves if shape == (1, 8, network.config.width)]
    assert hidden == [("cpu", "meta:1"), ("meta:1", "meta:2"), ("meta:2", "cpu")]
    others = [(dtype, end) for shape, dtype, *_, end in pretended.moves if shape != (1, 8, network.config.width)]
    once = [torch.float32] * 3 + [torch.int64]  # cosines, sines, what is seen; positions
    assert others == [(dtype, device) for device in ("meta:1", "meta:2") for dtype in once]


@torch.no_grad()
def test_branches_of_a_text_are_the_same_on_three_devices(monkeypatch, pretended):
    """Rows that leave a text at two places, and then some of them."""
    there = loaded(monkeypatch, ROOT / "llama" / "checkpoint", shares=(0.6, 0.3, 0.3))
    assert set(there.predictor.denoiser.devices) == {SECOND, THIRD}

    def hidden(model):
        network = model.predictor.denoiser
        stem, own = network.memory(1, 6), network.memory(2, 4)
        network.trunk(Rows(State(torch.arange(6)[None]), Tags(torch.arange(6)[None])), stem)
        branches = Branches.of(stem, own, torch.tensor([6, 3]))
        places = torch.tensor([[6, 7], [3, 4]])
        first = network.trunk(Rows(State(torch.tensor([[9, 8], [7, 6]])), Tags(places)), branches)
        again = branches[torch.tensor([1, 0, 1])]
        places = torch.tensor([[5], [8], [5]])
        return first, network.trunk(Rows(State(torch.tensor([[5], [4], [3]])), Tags(places)), again)

    found = hidden(there)
    monkeypatch.undo()
    expected = hidden(ud.load(ROOT / "llama" / "checkpoint"))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)  # other kernels, which round otherwise


@torch.no_grad()
def test_on_one_device_nothing_moves(pretended):
    """Not even to where it is: a pass asks no tensor to be on a device."""
    asked = []
    network = golden("dream").model.predictor.denoiser

    class Asked(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if getattr(function, "__name__", "") == "to" and isinstance(args[1], torch.device):
                asked.append(args[1])
            return function(*args, **(kwargs or {}))

    with Asked():
        network.trunk(Rows(State(torch.arange(8)[None]), Tags(torch.arange(8)[None])), network.memory(1, 8))
    assert not asked
    assert not pretended.moves


def test_a_model_that_fits_the_first_device_is_there(monkeypatch, pretended):
    there = loaded(monkeypatch, golden("llada").model.trained.name, shares=(1.0, 0.5, 0.5))
    assert {p.device for p in there.predictor.denoiser.parameters()} == {FIRST}
    assert there.predictor.denoiser.devices == ()


def test_features_are_kept_on_one_device_alone(monkeypatch, pretended):
    there = loaded(monkeypatch, golden("llada").model.trained.name)
    with pytest.raises(UserError, match="keeps no features, as none does whose layers are on several devices"):
        there.decode([[3, 1, 4]], 8, strategy="confidence", cache="dllm")


def test_a_model_that_all_devices_have_no_room_for_is_refused_with_the_sum(monkeypatch, pretended):
    directory = golden("llada").model.trained.name
    with pytest.raises(UserError) as refused:
        loaded(monkeypatch, directory, shares=(0.3,) * 3)
    size = sum(p.numel() * 4 for p in golden("llada").model.predictor.denoiser.parameters())
    part = f"{0.3 * size / 1024:.0f} KiB"
    assert (
        f"are {size / 1024:.0f} KiB, and {0.9 * size / 1024:.0f} KiB of memory are free, {part} on cpu and {part} on "
        f"meta:1 and {part} on meta:2; load it with --dtype bfloat16"
    ) in str(refused.value)


def test_layers_are_not_cut(monkeypatch, pretended):
    with pytest.raises(UserError, match="to which it cannot be dealt out by whole layers; load it with"):
        loaded(monkeypatch, golden("llada").model.trained.name, shares=(0.34,) * 3)


@pytest.mark.parametrize(
    ("count", "name", "found"),
    [
        (0, "auto", ["cpu"]),
        (1, None, ["cuda"]),
        (2, None, ["cuda:0", "cuda:1"]),
        (3, "auto", ["cuda:0", "cuda:1", "cuda:2"]),
        (3, "cuda:2, cuda", ["cuda:2", "cuda:0"]),
        (1, "cuda,cpu:0", ["cuda:0", "cpu"]),
        (2, "cuda", ["cuda"]),
        (2, torch.device("cuda:1"), ["cuda:1"]),
    ],
)
def test_names_of_devices(monkeypatch, count, name, found):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    assert list(devices_of(name)) == list(map(torch.device, found))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cuda:0,cuda", "device cuda:0,cuda: cuda:0 is named twice"),
        ("cuda:0,cuda:2", "device cuda:2: this machine has 2 cuda devices"),
        ("cuda:0,", "device : there is no such device"),
    ],
)
def test_devices_that_are_not_there(monkeypatch, name, message):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=message):
        ud.load(golden("llada").model.trained.name, device=name)


def test_training_takes_one_device():
    with pytest.raises(UserError, match=r"device cuda:0,cuda:1: only a model that is used is spread .*; name one"):
        device_of("cuda:0,cuda:1")
