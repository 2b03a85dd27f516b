"""Blanks filled from both sides, with probabilities and alternatives."""

from collections.abc import Generator
from typing import TYPE_CHECKING

import torch

from ..decode.canvas import Canvas
from ..decode.event import Event
from ..decode.length import length_score
from ..decode.loop import denoise, finished, walk
from ..process.interpolating import Interpolating
from ..randomness import Draws
from ..text.holes import parse
from ..text.layout import Layout, lay_out
from .alternatives import alternatives
from .plan import Plan
from .results import Alternative, Filled, HoleFill
from .settings import Settings

if TYPE_CHECKING:
    from .model import LanguageModel


def fill(model: "LanguageModel", text: str, settings: Settings, top: int) -> Generator[Event, None, list[Filled]]:
    """See `LanguageModel.fill`; yields the events of the decoding itself, not those of the search for lengths."""
    layout = lay_out(parse(text), model.tokenizer)
    Plan(model, layout, [blank.maximum for blank in layout.blanks])  # refuses holes that may not fit
    settings.strategy.check(model.predictor.process)
    plan = _choose_lengths(model, layout, settings)
    settings.check(sum(plan.lengths))
    key = Draws.seeded(settings.seed).stream("fill")
    canvas = plan.canvas([key.at(sample) for sample in range(settings.samples)], settings).to(model.device)
    trail: list[Canvas] = []
    for after, happened in walk(model.predictor, canvas, settings.strategy, plan.constraint(settings.samples)):
        trail.append(after)
        yield happened
    done = trail[-1]
    others = alternatives(model, plan, settings.strategy, trail, top - 1) if top > 1 else {}
    return [_result(model, plan, done, row, others, settings) for row in range(settings.samples)]


def _choose_lengths(model: "LanguageModel", layout: Layout, settings: Settings) -> Plan:
    """One hole after the other in reading order, later ones at their shortest: decode every length, keep the best.

    Lengths are compared by their most confident filling where noise has a mask, else by a draw with the given settings.
    """
    process = model.predictor.process
    masked = isinstance(process, Interpolating) and process.destination.mask
    searcher = Settings.of("confidence") if masked else settings
    key = Draws.seeded(settings.seed).stream("length")
    lengths = [blank.minimum for blank in layout.blanks]
    for number, blank in enumerate(layout.blanks):
        scores = {}
        for size in range(blank.minimum, blank.maximum + 1) if blank.minimum < blank.maximum else ():
            plan = Plan(model, layout, [*lengths[:number], size, *lengths[number + 1 :]])
            canvas = plan.canvas([key], searcher).to(model.device)
            done = finished(denoise(model.predictor, canvas, searcher.strategy, plan.constraint(1)))
            hole = torch.zeros_like(done.pending)
            hole[:, slice(*plan.holes[number])] = True
            scores[size] = length_score(done, hole).item()
        lengths[number] = max(scores, key=scores.__getitem__, default=blank.minimum)
    return Plan(model, layout, lengths)


def _result(
    model: "LanguageModel",
    plan: Plan,
    done: Canvas,
    row: int,
    others: dict[tuple[int, int], tuple[Alternative, ...]],
    settings: Settings,
) -> Filled:
    holes = []
    for hole in range(len(plan.holes)):
        text, probability = plan.answer(done, row, hole)
        holes.append(HoleFill(hole, text, probability, others.get((row, hole), ())))
    nfe = int(done.nfe[row])
    return Filled(
        text=plan.text(done, row),
        holes=tuple(holes),
        nfe=nfe,
        tokens_per_forward=sum(plan.lengths) / nfe,
        seed=settings.seed,
        strategy=settings.kind,
        model=model.name,
    )
