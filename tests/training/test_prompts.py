"""The recipe key `training.prompt_dropout`: off by default, what it changes, what it refuses, and that runs resume."""

import json
import os
import signal

import pytest
import torch
from tiny import SETTINGS

from undiffuse.errors import UserError
from undiffuse.kinds import DESTINATIONS, SCHEDULES
from undiffuse.models.base import Denoiser
from undiffuse.models.traits import Traits
from undiffuse.predictor import Predictor
from undiffuse.process.interpolating import Interpolating
from undiffuse.randomness import Draws
from undiffuse.training.recipe import resolve
from undiffuse.training.run import resume, train
from undiffuse.types import Batch
from undiffuse.vocabulary import Vocabulary

DROPOUT = "training.prompt_dropout=0.5"


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.jsonl"
    lines = [json.dumps({"prompt": f"{i} + {i % 7} = ", "response": str(i + i % 7)}) for i in range(150)]
    path.write_text("\n".join(lines))
    return path


def weights(run) -> bytes:
    return (run.directory / "model.safetensors").read_bytes()


def trained(pairs, out, *overrides, **options):
    return train(pairs, out=out, steps=12, threads=1, overrides=(*SETTINGS, *overrides), **options)


@pytest.mark.slow
def test_it_changes_training_and_a_resumed_run_drops_the_same_prompts(pairs, tmp_path):
    shown = trained(pairs, tmp_path / "shown")
    whole = trained(pairs, tmp_path / "whole", DROPOUT)
    assert weights(shown) == weights(trained(pairs, tmp_path / "zero", "training.prompt_dropout=0.0"))
    assert weights(shown) != weights(whole)

    def interrupt(report):
        if (report.phase, report.step) == ("training", 5):
            os.kill(os.getpid(), signal.SIGINT)

    stopped = trained(pairs, tmp_path / "stopped", DROPOUT, progress=interrupt)
    assert not stopped.complete
    assert weights(resume(stopped.directory)) == weights(whole)


def test_a_dropped_prompt_is_pure_noise_for_a_network_with_time_input():
    """Fixed text is at time 0, the masks in place of a prompt at time 1."""
    process = Interpolating(Vocabulary(6, mask=5), SCHEDULES.load("one-minus-t")(), DESTINATIONS.load("mask")())
    ids = torch.tensor([[5, 5, 1, 2], [3, 4, 1, 2]])
    editable = torch.tensor([False, False, True, True]).expand(2, 4)
    t = torch.full((2, 4), 0.4, dtype=torch.float64)
    noised = process.corrupt(ids, t, Draws.seeded(0).at(torch.arange(8).view(2, 4)), editable)
    assert noised.t.tolist() == [[1, 1, 0.4, 0.4], [0, 0, 0.4, 0.4]]
    assert torch.equal(noised.state.ids[:, :2], ids[:, :2])


class Listening(Denoiser):
    """A network with attention blocks that notes the levels it is told."""

    traits = Traits(6, 8, lambda queries, keys: None, 2, takes=frozenset({"level"}))

    def trunk(self, rows, kv=None):
        self.level = rows.level
        return torch.zeros(*rows.state.ids.shape, 3)

    def head(self, hidden):
        return torch.zeros(*hidden.shape[:-1], 6)


def test_block_diffusion_tells_its_network_the_same_of_both_halves():
    process = Interpolating(Vocabulary(6, mask=5), SCHEDULES.load("one-minus-t")(), DESTINATIONS.load("mask")())
    ids = torch.tensor([[5, 5, 1, 2, 3, 4], [3, 4, 1, 2, 3, 4]])
    editable = torch.tensor([False, False, True, True, True, True]).expand(2, 6)
    row = torch.arange(2)
    batch = Batch(ids, editable, torch.ones_like(editable), torch.arange(6).expand(2, 6), row, row, row)
    t = torch.full((2, 6), 0.4, dtype=torch.float64)
    noised = process.corrupt(ids, t, Draws.seeded(0).at(torch.arange(12).view(2, 6)), editable)
    network = Listening()
    Predictor(network, process, "leave_one_out").predict(noised, batch, editable)
    assert network.level[0].tolist() == pytest.approx([1, 1, 0.4, 0.4, 0.4, 0.4, 1, 1, 0, 0])
    assert network.level[1].tolist() == pytest.approx([0, 0, 0.4, 0.4, 0.4, 0.4, 0, 0, 0, 0])


def test_it_needs_prompts(tmp_path):
    (tmp_path / "text.txt").write_text("no prompts here\n" * 40)
    with pytest.raises(UserError, match="prompt_dropout needs prompts, and this text has none: give JSONL"):
        train(tmp_path / "text.txt", out=tmp_path / "run", steps=3, overrides=(*SETTINGS, DROPOUT))
    assert not (tmp_path / "run").exists()


def test_it_needs_a_mask():
    with pytest.raises(UserError, match="replaces prompts by masks, and this process has none: use destination 'mask'"):
        resolve("udlm", [DROPOUT])
    assert resolve("xdlm", [DROPOUT]).configuration.training.prompt_dropout == 0.5


@pytest.mark.parametrize("share", ["-0.1", "1.0", "nan", "true"])
def test_it_is_a_share_below_one(share):
    with pytest.raises(UserError, match=r"training\.prompt_dropout"):
        resolve("default", [f"training.prompt_dropout={share}"])
