"""How true every cache is on a model and texts of yours: against exact logits, on the trajectory of no cache."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from ..decode.canvas import Canvas, start
from ..decode.fidelity import fidelity, trajectory
from ..errors import UserError
from ..kinds import CACHES, STRATEGIES
from ..language_model import LanguageModel


@dataclass(frozen=True)
class CacheLine:
    """KL in nats and the share of flipped argmaxes, per pending position; rows as a share of those without a cache.

    `refused` says why a network cannot have the cache; then there are no numbers.
    """

    cache: str
    exact: bool
    kl: float | None = None
    flips: float | None = None
    rows: float | None = None
    refused: str = ""

    def json(self) -> dict[str, Any]:
        return asdict(self)


def fidelities(
    model: LanguageModel, texts: Sequence[Sequence[int]], prompt: int, block_length: int, strategy: str, seed: int
) -> Iterator[CacheLine]:
    """A line per cache. Each text is a prompt of so many tokens and as many positions to decide as follow it."""
    canvas = _canvas(model, texts, prompt, block_length, seed)
    chosen = STRATEGIES.load(strategy)()
    exact = trajectory(model.predictor, canvas, chosen)
    for kind in CACHES.kinds:
        if kind == "auto":  # one of the others
            continue
        cache = CACHES.load(kind)()
        try:
            found = fidelity(model.predictor, exact, chosen, cache)
        except UserError as error:
            yield CacheLine(kind, cache.exact, refused=str(error))
            continue
        yield CacheLine(kind, cache.exact, found.mean_kl, found.flip_share, found.row_share)


def _canvas(model: LanguageModel, texts: Sequence[Sequence[int]], prompt: int, block_length: int, seed: int) -> Canvas:
    span, floating = model.predictor.traits.block_length, model.predictor.traits.floating
    canvases = []
    for number, ids in enumerate(texts):
        pending = torch.arange(len(ids)) >= prompt
        tile, text = None if span else block_length, torch.tensor(list(ids))
        canvases.append(start(text, pending, key=seed + number, block_length=tile, span=span, floating=floating))
    return Canvas.concatenate(canvases).to(model.device)


def table(lines: Sequence[CacheLine]) -> str:
    """Markdown."""
    rows = ["| cache | exact | KL, nats | flips | rows |", "|---|---|---|---|---|"]
    for line in lines:
        if line.kl is None or line.flips is None or line.rows is None:
            rows.append(f"| {line.cache} | {_word(line.exact)} | not here: {line.refused} | | |")
        else:
            numbers = f"{line.kl:.2g} | {100 * line.flips:.2f} % | {100 * line.rows:.0f} %"
            rows.append(f"| {line.cache} | {_word(line.exact)} | {numbers} |")
    return "\n".join(rows) + "\n"


def _word(exact: bool) -> str:
    return "yes" if exact else "no"
