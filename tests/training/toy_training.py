"""Toy A through the training loop: two tokens, two positions, P(00, 01, 10, 11) = (.4, .1, .2, .3).

The networks are two layers that see the whole text, for a transformer with rotary positions alone cannot tell the
first of two masks from the second, and P(x_1) is not P(x_2).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import config
from torch import Tensor, nn

from undiffuse.exact.denoiser import everything
from undiffuse.exact.world import toy_a
from undiffuse.kinds import build_process
from undiffuse.models.base import Denoiser
from undiffuse.models.curves import CURVES
from undiffuse.models.traits import Traits
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.objective.objective import Objective
from undiffuse.predictor import Predictor
from undiffuse.training.configuration import Configuration
from undiffuse.training.loop import Job, take_step
from undiffuse.training.state import TrainingState
from undiffuse.training.validation import take
from undiffuse.types import Batch
from undiffuse.vocabulary import Vocabulary

WORLD = toy_a()
ROWS = 500
MODEL = ("model.width=16", "model.depth=1", "model.heads=1", "model.context=2", "training.dtype=float32")
ADAM = ("optimizer=adamw", "optimizer.lr=0.02", "optimizer.weight_decay=0.0", f"training.rows={ROWS}")


class Table(nn.Module, Denoiser):
    """Two layers from all of the text and its noise level to the logits of every position."""

    rows, length = WORLD.vocabulary.rows, WORLD.length

    def __init__(self, model, width=32):
        super().__init__()
        inputs = {"level": "time_conditioning", "feedback": "feedback"}
        self.takes = frozenset(name for name, key in inputs.items() if model[key])
        self.gives = model["output"]
        self.first = nn.Linear((self.inputs(model) + 5 * ("level" in self.takes)) * self.length, width)
        self.second = nn.Linear(width, width)
        self.out = nn.Linear(width, self.outputs(model) * self.length)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    @property
    def traits(self):
        return Traits(self.rows, self.length, everything, takes=self.takes, gives=self.gives)

    def inputs(self, model) -> int:
        return self.rows

    def outputs(self, model) -> int:
        return self.rows

    def trunk(self, rows, kv=None):
        seen = [self.seen(rows)]
        if "level" in self.takes:
            u = rows.level.double().clamp(1e-6, 1 - 1e-6)[..., None]
            seen += [u.float(), (u.logit() / 4).float(), ((1 - u).log() / 4).float(), u.sqrt().float()]
            seen += [(torch.pi * u).sin().float()]
        hidden = torch.tanh(self.second(torch.tanh(self.first(torch.cat(seen, -1).flatten(1)))))
        return self.out(hidden).view(*rows.state.ids.shape, -1)

    def seen(self, rows):
        state = rows.state
        if state.soft is None:
            return nn.functional.one_hot(state.ids, self.rows).float()
        ids, weights = state.soft
        return (nn.functional.one_hot(ids, self.rows) * weights[..., None].float()).sum(-2)

    def head(self, hidden):
        return hidden


class Vectors(Table):
    """The same from noisy vectors, as they are and as evidence that saturates; the tokens' own begin apart."""

    def __init__(self, model):
        super().__init__(model)
        start = torch.zeros(self.rows, model["latent"])
        start[WORLD.rows[0], 0], start[WORLD.rows[1], 0] = 1.0, -1.0
        start[:, 1:] = 0.2
        self.embedding = nn.Parameter(start)
        self.gamma = None if model["noise_curve"] == "none" else CURVES[model["noise_curve"]]()

    def inputs(self, model) -> int:
        return model["latent"] * (2 + model["feedback"])

    def outputs(self, model) -> int:
        return model["latent"] if model["output"] == "embedding" else self.rows

    @property
    def tables(self):
        return {"vectors": self.embedding} | ({} if self.gamma is None else {"gamma": self.gamma})

    def seen(self, rows):
        z = rows.state.latent.float()
        u = rows.level.float().clamp(1e-6, 1 - 1e-6)[..., None]
        seen = [z, torch.tanh(z * (1 - u).sqrt() / u)]
        if "feedback" in self.takes:
            seen.append(torch.zeros_like(z) if rows.feedback is None else rows.feedback.float())
        return torch.cat(seen, -1)


@dataclass(frozen=True)
class Texts:
    """All texts of toy A in every batch, in proportion to their probabilities."""

    def batch(self, step: int, rows: int) -> Batch:
        which = torch.repeat_interleave(torch.arange(4), (WORLD.law * rows).round().long())
        return batch_of(WORLD.rows[WORLD.texts[which]], step)

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(torch.bincount(self.batch(0, 10).ids.flatten(), minlength=WORLD.vocabulary.rows).tolist())


def batch_of(ids: Tensor, epoch: int = 0) -> Batch:
    every, row = torch.ones_like(ids, dtype=torch.bool), torch.arange(len(ids))
    return Batch(ids, every, every, torch.arange(ids.shape[1]).expand_as(ids), row, torch.full_like(row, epoch), row)


def network(configuration: Configuration, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = configuration.model
        if model["causal"] or model["block_length"]:
            return Transformer(TransformerConfig(rows=WORLD.vocabulary.rows, **model))
        return Vectors(model) if model["latent"] else Table(model)


@contextmanager
def shapes_unchecked() -> Iterator[None]:
    """The first step of a training has been checked, and the next ones are as it: checks take most of the time."""
    before = config.jaxtyping_disable
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", before)


def learned(
    configuration: Configuration,
    build: Callable[[Configuration, int], nn.Module],
    data,
    vocabulary: Vocabulary,
    steps: int,
    seed: int,
    objective: Objective | None = None,
    after: Callable[[int, Predictor], None] | None = None,
) -> Predictor:
    """The averaged weights after `steps` of the training loop, by the configuration's objective or another one.

    `after` is shown the network before the first step and after each.
    """
    objective, settings = objective or configuration.objective, configuration.training
    process = build_process(configuration.process, vocabulary).fitted(data.counts)
    net, judged = build(configuration, seed), build(configuration, seed).requires_grad_(False)
    predictor = Predictor(net, process, objective.head)
    objective.check(predictor)
    state = TrainingState(configuration.optimizer.build(net), settings.ema, objective)
    weights, rows = tuple(net.parameters()), int(settings.rows)
    job = Job(predictor, weights, objective, data, None, settings, rows, (steps,), seed, torch.device("cpu"))
    after = after or (lambda step, network: None)
    after(0, predictor)
    take_step(job, state)
    after(1, predictor)
    with shapes_unchecked():
        for step in range(2, steps + 1):
            take_step(job, state)
            after(step, predictor)
    take(judged, state.average)
    return Predictor(judged, process, objective.head)
