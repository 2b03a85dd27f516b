"""What a run is said to keep, against the tensors that it does keep; and runs that no memory holds."""

import re
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from tiny import SETTINGS, write_text

from undiffuse.cli.main import run as command
from undiffuse.data.readers import read
from undiffuse.data.split import split
from undiffuse.errors import UserError
from undiffuse.text.tokenizer import Tokenizer
from undiffuse.training import memory
from undiffuse.training import run as runs
from undiffuse.training.assembly import Assembly
from undiffuse.training.loop import take_step
from undiffuse.training.memory import IDS, Needs, explained
from undiffuse.training.plan import Course, Plan, dial, sized
from undiffuse.training.recipe import resolve

CPU = torch.device("cpu")


@contextmanager
def saved_bytes(kept: dict[int, int]):
    """Collects the bytes of whatever a backward pass will read again, weights included."""

    def keep(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        yield


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("recipe", "given"),
    [
        ("default", ()),
        ("default", ("optimizer=adamw", "training.train=['blocks.*']")),
        ("ar", ()),
        ("block", ()),
        ("sedd-uniform", ()),
        ("llada", ("model.context=256", "training.rows=2")),
    ],
)
def test_no_run_keeps_less(tmp_path, recipe, given, dtype):
    text = split(read([write_text(tmp_path / "text.txt")]))
    tokenizer = Tokenizer.train([document.text for document in text.train.documents], 280)
    settings = ("model.width=32", "model.depth=2", "training.rows=8", "model.context=32", f"training.dtype={dtype}")
    asked = resolve(recipe, [s for s in settings if s.partition("=")[0] not in str(given)] + list(given)).configuration
    assembly = Assembly(sized(asked, dial(0.0, 9000)), text.train, text.valid, tokenizer, 0, CPU)
    job, state = assembly.build(Plan(assembly.configuration, (Course(0, (9,)),)))
    needs = Needs.of(assembly.configuration, tokenizer, CPU)
    kept: dict[int, int] = {}
    with saved_bytes(kept):
        take_step(job, state)
    network = job.predictor.denoiser
    held = [*network.parameters(), *job.validation.network.parameters(), *state.tensors().values(), *job.weights]
    held += [p.grad for p in job.weights if p.grad is not None]
    own = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in held}
    gradients = sum(p.numel() * p.element_size() for p in job.weights)  # which the step has cleared
    assert needs.parameters == job.parameters
    assert needs.weights <= sum(own.values()) + gradients <= 2 * needs.weights
    computed = sum(size for place, size in kept.items() if place not in own)
    assert needs.part <= computed <= 4 * needs.part
    assert needs.ids == IDS * job.rows * job.source.length
    training = replace(assembly.configuration.training, accumulation=2)
    halves = Needs.of(replace(assembly.configuration, training=training), tokenizer, CPU)
    assert halves == replace(needs, part=needs.part // 2)


@pytest.mark.parametrize(
    ("given", "arithmetic"),
    [
        (
            ["training.rows=1000000000000"],
            r"parameters take 212 KiB with .* optimizer, a step on 1,000,000,000,000 x 16 tokens .* GiB; lower "
            r"training\.rows or model\.context, or raise training\.accumulation",
        ),
        (
            ["training.rows=1", "model.context=10000000"],
            r"on 1 x 10,000,000 tokens .* GiB; lower model\.context",
        ),
        (["model.width=1000000"], r"parameters take .* GiB; lower model\.width, model\.depth or"),
        (
            ["training.rows=auto", "training.accumulation=10000000000"],
            r"parts 1490 GiB; lower training\.accumulation$",
        ),
    ],
)
def test_what_no_machine_holds_is_refused_with_the_arithmetic(tmp_path, monkeypatch, capsys, given, arithmetic):
    monkeypatch.setattr(memory, "available", lambda device: 100 << 30)
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path / "text.txt")
    kept = [setting for setting in SETTINGS if setting.partition("=")[0] not in str(given)]
    assert command(["train", "text.txt", "--out", "made", "--steps", "1", *kept, *given]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert re.search(r"undiffuse: the run takes at least [0-9.]+ GiB, and 100 GiB of memory are free on cpu: ", said)
    assert re.search(arithmetic, said)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.txt"]


@pytest.mark.parametrize("given", ["model.depth=1000000000", "model.width=1000000000000", "tokenizer.size=1000000000"])
def test_slips_of_the_hand_are_refused_at_once(given):
    with pytest.raises(UserError, match=r"must be at most|should be less than or equal"):
        resolve("default", [given])


def test_memory_that_ends_is_said_and_leaves_nothing_in_the_way(train_tiny, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(runs, "train_loop", lambda *_: torch.empty(1 << 60, dtype=torch.uint8))
        with pytest.raises(UserError, match=r"not enough memory for this run \(1152921504606846976 bytes more .*rows"):
            train_tiny()
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]
    assert train_tiny(steps=1).complete


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="size of tensor"), explained():
        torch.zeros(2) + torch.zeros(3)
