"""Blanks filled from both sides, with probabilities and alternatives."""

import json
from collections.abc import Generator, Mapping
from typing import Any

from ..decode.canvas import Canvas
from ..decode.event import Event
from ..decode.loop import walk
from ..errors import UserError
from ..process.needs import require
from ..randomness import Draws
from ..text.holes import Text, parse
from ..text.layout import Layout, advice, lay_out
from ..text.schema import joined, object_segments
from .alternatives import alternatives
from .choices import choice_probabilities
from .lengths import choose_lengths, refuse_too_long
from .plan import Plan
from .results import Alternative, Filled, FilledObject, HoleFill, Length
from .settings import Settings
from .trained import Trained


def fill(model: Trained, text: str, settings: Settings, top: int) -> Generator[Event, None, list[Filled]]:
    """See `LanguageModel.fill`; yields the events of the decoding itself, not those of the search for lengths."""
    _refuse_blocks(model)
    return (yield from fill_layout(model, lay_out(parse(text), model.tokenizer), settings, top))


def fill_object(
    model: Trained, prompt: str, schema: Mapping[str, Any], settings: Settings, top: int
) -> Generator[Event, None, list[FilledObject]]:
    """See `LanguageModel.fill_object`."""
    _refuse_blocks(model)
    before = prompt + "\n" if prompt and not prompt.endswith("\n") else prompt
    layout = lay_out(joined([Text(before), *object_segments(schema)]), model.tokenizer)
    found = yield from fill_layout(model, layout, settings, top)
    texts = [filled.text.removeprefix(before) for filled in found]
    return [FilledObject(json.loads(text), text, filled) for text, filled in zip(texts, found, strict=True)]


def fill_layout(model: Trained, layout: Layout, settings: Settings, top: int) -> Generator[Event, None, list[Filled]]:
    """`fill` for a text that is laid out already."""
    refuse_too_long(model, layout)
    require(settings.strategy.needs, model.predictor.process)
    plan, lengths = choose_lengths(model, layout, settings)
    settings.check(sum(plan.lengths))
    key = Draws.seeded(settings.seed).stream("fill")
    canvas = plan.canvas([key.at(sample) for sample in range(settings.samples)], settings).to(model.device)
    trail: list[Canvas] = []
    for after, happened in walk(model.predictor, canvas, settings.decoder(plan.constraint(settings.samples))):
        trail.append(after)
        yield happened
    done = trail[-1]
    others = alternatives(model, plan, settings.strategy, trail, top - 1) if top > 1 else {}
    chances = choice_probabilities(model, plan, done)
    filled = []
    for row in range(settings.samples):
        holes = [
            _hole(plan, done, row, hole, lengths[hole], others.get((row, hole), ()), chances.get((row, hole)), top)
            for hole in range(len(plan.holes))
        ]
        filled.append(_result(model, plan, done, row, tuple(holes), settings))
    return filled


def _refuse_blocks(model: Trained) -> None:
    span = model.predictor.traits.block_length
    if span is not None:
        raise UserError(
            f"this model was trained by block diffusion, in blocks of {span} tokens: a blank would not see the text "
            "after its block. Fill with a model of another recipe (undiffuse train FILE --recipe default); this one "
            "continues texts: undiffuse generate TEXT"
        )


def _hole(
    plan: Plan,
    done: Canvas,
    row: int,
    hole: int,
    lengths: dict[int, float],
    others: tuple[Alternative, ...],
    chances: dict[str, float] | None,
    top: int,
) -> HoleFill:
    text, probability = plan.answer(done, row, hole)
    if chances is not None:
        probability = chances.get(text, probability)
        ranked = sorted(chances, key=lambda choice: -chances[choice])
        others = tuple(Alternative(choice, chances[choice]) for choice in ranked if choice != text)[: top - 1]
    written = plan.layout.blanks[hole].hole
    shares = tuple(Length(n, p) for n, p in lengths.items()) if len(lengths) > 1 else ()
    return HoleFill(hole, text, probability, others, written.name if written else "", shares)


def _result(
    model: Trained, plan: Plan, done: Canvas, row: int, holes: tuple[HoleFill, ...], settings: Settings
) -> Filled:
    nfe = int(done.nfe[row])
    return Filled(
        text=plan.text(done, row),
        holes=holes,
        nfe=nfe,
        tokens_per_forward=sum(plan.lengths) / nfe,
        seed=settings.seed,
        strategy=settings.kind,
        model=model.name,
        note=advice(plan.layout, model.tokenizer) or "",
    )
