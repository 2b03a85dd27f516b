"""Training a part of the network, and what adapters add to it."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import SETTINGS, STEPS
from torch import nn

from undiffuse.errors import UserError
from undiffuse.training.assembly import Assembly
from undiffuse.training.loop import take_step
from undiffuse.training.plan import Budget
from undiffuse.training.planning import make_plan
from undiffuse.training.recipe import resolve
from undiffuse.training.run import resume, train
from undiffuse.training.run_directory import RunDirectory
from undiffuse.training.start import Start

PART = 'training.train=["blocks.*.attention.*", "unembedding.*"]'


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path / "model.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_what_is_not_named_stays_bit_for_bit_and_has_no_optimizer_state(train_tiny, text, tmp_path, optimizer, dtype):
    first = train_tiny(steps=6)
    settings = (PART, f"optimizer={optimizer}", f"training.dtype={dtype}", *SETTINGS[4:])
    part = train(text, start=first.directory, out=tmp_path / "part", steps=STEPS, threads=1, overrides=settings)
    before, after = weights(first.directory), weights(part.directory)
    moved = {name for name, weight in before.items() if not torch.equal(weight, after[name])}
    assert moved == {"blocks.0.attention.qkv.weight", "blocks.0.attention.out.weight", "unembedding.weight"}
    (kept,) = (part.directory / "checkpoints").iterdir()
    states = [name for name in load_file(kept / "tensors.safetensors") if not name.startswith("window.")]
    assert states
    assert not [name for name in states if "embedding.weight" in name and "unembedding" not in name]
    assert not [name for name in states if "feed_forward" in name]
    assert part.model.manifest["training"]["parameters"] == first.model.manifest["training"]["parameters"]


def test_a_part_of_new_weights_is_trained_and_resumes(train_tiny, tmp_path):
    whole, stopped = train_tiny(PART, out=tmp_path / "whole"), train_tiny(PART, steps=12, out=tmp_path / "stopped")
    resumed = resume(stopped.directory, steps=STEPS - 12)
    untouched = {name for name in weights(whole.directory) if "feed_forward" in name or name == "embedding.weight"}
    assert untouched
    for name in untouched:
        assert torch.equal(weights(whole.directory)[name], weights(resumed.directory)[name]), name


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ('["blok*"]', r"no parameter is called 'blok\*'; there are .*blocks\.\*\.attention\.qkv\.weight"),
        ("[]", "training.train is empty"),
    ],
)
def test_patterns_that_name_nothing_are_refused(train_tiny, tmp_path, value, message):
    with pytest.raises(UserError, match=message):
        train_tiny(f"training.train={value}")
    assert not (tmp_path / "run").exists()


class LowRank:
    """Adds B A to the head, A drawn, B zero."""

    def attach(self, network: nn.Module) -> None:
        head = network.unembedding
        head.low_a = nn.Parameter(torch.randn(2, head.in_features))
        head.low_b = nn.Parameter(torch.zeros(head.out_features, 2))
        head.hook = head.register_forward_hook(
            lambda module, given, out: out + given[0] @ module.low_a.T @ module.low_b.T
        )

    @torch.no_grad()
    def merge(self, network: nn.Module) -> None:
        head = network.unembedding
        head.hook.remove()
        head.weight += head.low_b @ head.low_a
        del head.low_a, head.low_b, head.hook


def test_adapters_are_trained_beside_frozen_weights_and_end_in_the_network(train_tiny):
    run = train_tiny("training.dtype=float32")
    start = Start.of(run.directory)
    configuration = resolve(None, ["training.dtype=float32", 'training.train=["unembedding.*"]'], start).configuration
    texts = RunDirectory.open(run.directory).text
    assembly = Assembly(configuration, *texts, start.tokenizer, 0, torch.device("cpu"), start, (LowRank(),))
    plan = make_plan(assembly, Budget(steps=8))
    job, state = assembly.build(plan)
    assert {"unembedding.low_a", "unembedding.low_b"} < state.optimizer.masters.keys()
    for _ in range(8):
        take_step(job, state)
    score = job.validation.part(state.average)
    trained = assembly.trained(plan, state)
    found, before = trained.denoiser.state_dict(), start.weights
    assert found.keys() == before.keys()
    changed = {name for name in found if not torch.equal(found[name], before[name])}
    assert changed == {"unembedding.weight"}
    update = found["unembedding.weight"] - state.average["unembedding.weight"]
    assert torch.linalg.matrix_rank(update, atol=1e-5) == 2
    assert score.nats_per_token[0] > 0
