"""Intervals of likelihoods that hold: for every recipe with a bound, from few draws and from many, over seeds.

What they should hold is the mean over all seeds. The networks are small and have random weights,
which are no better at rare noise than at any other.
"""

import json
import math
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, cast

import torch

from ...kinds import OBJECTIVES, build_process
from ...likelihood.bound import bound
from ...likelihood.estimate import Estimate
from ...likelihood.windows import windows
from ...models.transformer import Transformer, TransformerConfig
from ...predictor import Predictor
from ...process.process import Process
from ...randomness import Draws
from ...types import Batch
from ...vocabulary import Vocabulary
from ..law import Law

TOKENS = 40
VOCABULARY = Vocabulary(TOKENS + 4, *range(TOKENS, TOKENS + 4))
CONTEXT, WINDOWS = 6, 32
DRAWS = (2, 4, 16)
SEEDS = 24


@dataclass(frozen=True)
class Case:
    """A network, the tokens of the text's windows, and how often each interval draws."""

    predictor: Predictor
    sizes: tuple[int, ...]
    draws: int


@cache
def predictors() -> dict[str, Predictor]:
    """By recipe, of those whose likelihood is drawn; recipes that differ in their training alone share one."""
    home = resources.files(__package__.partition(".")[0]) / "recipes"
    made: dict[str, Predictor] = {}
    found = {}
    for file in sorted(home.iterdir(), key=lambda file: file.name):
        recipe = tomllib.loads(file.read_text(encoding="utf-8"))
        noise, model, objective = (dict(recipe.get(part, {})) for part in ("process", "model", "objective"))
        if model.get("causal"):
            continue
        objective = {"kind": "bound"} | {name: value for name, value in objective.items() if name != "times"}
        head = OBJECTIVES.build(objective).head
        key = json.dumps((noise, {name: model[name] for name in sorted(model) if name != "context"}, head))
        if key not in made:
            made[key] = Predictor(network(model), process(noise), head)
        found[file.name.removesuffix(".toml")] = made[key]
    return found


def process(noise: dict[str, Any]) -> Process:
    """The process of a recipe, with what the defaults of a recipe add."""
    if noise.get("kind", "interpolating") in ("interpolating", "discrete"):
        noise = {"schedule": "one-minus-t", "destination": "mask"} | noise
    parts = ("schedule", "destination", "gamma")
    spec = {k: {"kind": v} if k in parts and isinstance(v, str) else v for k, v in noise.items()}
    return cast(Process, build_process(spec, VOCABULARY).fitted(range(1, VOCABULARY.rows + 1)))


def network(model: dict[str, Any]) -> Transformer:
    """A small one of the recipe's kind, with random weights."""
    small = {"width": 16, "depth": 1, "heads": 2, "context": CONTEXT}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        made = Transformer(TransformerConfig(rows=VOCABULARY.rows, **model | small)).requires_grad_(False).eval()
        for weight in made.parameters():
            if weight.ndim > 1:
                weight += torch.randn(weight.shape) / 5
    return made


def text(sizes: tuple[int, ...]) -> Batch:
    """Tokens that are drawn, half of them the most frequent one."""
    drawn = Draws.seeded(3).along(sum(sizes)).uniform()
    ids = ((2 * drawn - 1).clamp(min=0) * TOKENS).long().tolist()
    return windows([[ids.pop() for _ in range(size)] for size in sizes], CONTEXT)


@cache
def estimates(case: Case) -> list[Estimate]:
    """One for every seed."""
    return [bound(case.predictor, text(case.sizes), draws=case.draws, seed=seed) for seed in range(SEEDS)]


@cache
def expected(predictor: Predictor, sizes: tuple[int, ...], draws: int) -> float:
    """The mean over all seeds, with most draws."""
    return sum(one.nats for one in estimates(Case(predictor, sizes, draws))) / SEEDS


def cases() -> dict[str, Case]:
    """Long texts, and one of six tokens."""
    found: dict[str, Case] = {}
    for recipe, each in predictors().items():
        found |= {f"{recipe}, {draws} draws": Case(each, (CONTEXT,) * WINDOWS, draws) for draws in DRAWS}
        found[f"{recipe}, six tokens"] = Case(each, (CONTEXT,), 64)
    return found


def missed(case: Case) -> float:
    """How many of 24 intervals miss; more than 6 of correct ones do so with probability 0.0001. All must be stated."""
    value, found = expected(case.predictor, case.sizes, max(case.draws, DRAWS[-1])), estimates(case)
    if not all(math.isfinite(estimate.stderr) for estimate in found):
        return math.inf
    off = [max(low / value, value / high) - 1 for low, high in (estimate.interval for estimate in found)]
    return float(sum(not each <= 1e-9 for each in off))


LAWS = (Law("likelihood/intervals", cases, missed, 6.0),)
