"""Batches from other places than a packed text: an endless stream, and texts that the network itself writes."""

import math
from dataclasses import dataclass, field, replace

import pytest
import torch
from tiny import SETTINGS, write_text

from undiffuse.data.packing import Dataset
from undiffuse.data.readers import read
from undiffuse.data.split import split
from undiffuse.language_model import LanguageModel
from undiffuse.predictor import Predictor
from undiffuse.randomness import Draws
from undiffuse.text.tokenizer import Tokenizer
from undiffuse.training.assembly import Assembly
from undiffuse.training.loop import train
from undiffuse.training.plan import Budget
from undiffuse.training.planning import make_plan
from undiffuse.training.recipe import resolve
from undiffuse.types import Batch

LETTER = ord("a")
FAST = ("optimizer=adamw", "optimizer.lr=0.05")


def batch_of(ids: torch.Tensor, step: int) -> Batch:
    every, row = torch.ones_like(ids, dtype=torch.bool), torch.arange(len(ids))
    positions = torch.arange(ids.shape[1]).expand_as(ids)
    return Batch(ids, every, every, positions, row, torch.full_like(row, step), row)


@dataclass(frozen=True)
class Alphabet:
    """Endless rows of the alphabet, each from another letter on."""

    length: int
    tokens: int = 1
    bytes: int = 1

    def batch(self, step: int, rows: int) -> Batch:
        first = Draws.seeded(3).at(step).along(rows).integers(26)
        return batch_of(LETTER + (first[:, None] + torch.arange(self.length)) % 26, step)


@dataclass(frozen=True)
class Written:
    """Texts that the network draws in its present state; those with the most low bytes are learned, by their share."""

    model: LanguageModel
    length: int
    tokens: int = 1
    bytes: int = 1
    shares: list[float] = field(default_factory=list)

    def batch(self, step: int, rows: int) -> Batch:
        found = self.model.decode([[]] * 4 * rows, self.length, strategy="ancestral", steps=4, seed=step)
        ids = torch.stack(found.ids)
        reward = (ids < 64).float().mean(-1)
        self.shares.append(reward.mean().item())
        best = reward.topk(rows)
        return replace(batch_of(ids[best.indices], step), weight=best.values[:, None])


@pytest.fixture
def built(tmp_path):
    """A job and a state whose batches come from what is given."""
    parts = split(read([write_text(tmp_path / "text.txt")]))
    tokenizer = Tokenizer.byte_level()

    def build(sourced, steps: int):
        configuration = resolve("byte", (*SETTINGS[1:], "training.dtype=float32", *FAST)).configuration
        assembly = Assembly(configuration, parts.train, parts.valid, tokenizer, 0, torch.device("cpu"), sourced=sourced)
        return assembly.build(make_plan(assembly, Budget(steps=steps)))

    return build


def run(job, state) -> list[dict]:
    lines: list[dict] = []
    train(job, state, lines.append, lambda: None, lambda report: None, lambda: False)
    return [line for line in lines if "buckets" in line]


def test_a_stream_is_learned(built):
    lines = run(*built(lambda predictor, text: Alphabet(text.length), 120))
    assert lines[-1]["nats_per_token"] < 0.85 * math.log(26)  # the order of the letters, not only which there are
    assert lines[-1]["tokens"] == 120 * 4 * 16
    assert lines[-1]["bits_per_byte"] == pytest.approx(lines[-1]["nats_per_token"] / math.log(2))


@pytest.mark.slow
def test_texts_that_the_network_writes_while_it_trains(built):
    ends = []
    for _ in range(2):
        sources: list[Written] = []

        def sourced(predictor: Predictor, text: Dataset, sources=sources) -> Written:
            model = LanguageModel(predictor, Tokenizer.byte_level(), {})
            sources.append(Written(model, text.length))
            return sources[-1]

        job, state = built(sourced, 25)
        run(job, state)
        ends.append({name: master.clone() for name, master in state.optimizer.masters.items()})
        (source,) = sources
        assert source.shares[0] < 0.35 < 0.7 < source.shares[-1], source.shares
    for name, master in ends[0].items():
        assert torch.equal(master, ends[1][name]), name
