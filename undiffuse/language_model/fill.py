"""Blanks filled from both sides, with probabilities and alternatives."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..decode.canvas import Canvas
from ..decode.demand import Verb, denoised, requests_of
from ..decode.evaluation import Evaluated
from ..errors import UserError
from ..randomness import Draws
from ..text.form import Blank, Fixed, Form, advice, form_of
from ..text.holes import Text, parse
from ..text.schema import joined, object_segments
from .alternatives import alternatives
from .arguments import whole
from .choices import text_probabilities
from .defaults import suited
from .lengths import choose_lengths, refuse_too_long
from .many import batches, each, listed, naming
from .placement import Placement, constraint
from .ranked_fill import Ranked
from .results import Alternative, Filled, FilledObject, HoleFill, Length
from .settings import Settings
from .trained import Trained
from .vectors import recorded_apart


def fill(model: Trained, texts: Sequence[str], settings: Settings, top: int) -> Verb[list[list[Filled]]]:
    """See `LanguageModel.fill`; asks for the decoding; lengths and probabilities it evaluates itself."""
    top = whole("top", top)
    forms = each(texts, lambda text: form_of(parse(text), model.tokenizer))
    return (yield from fill_forms(model, forms, settings, top))


def fill_object(
    model: Trained, prompt: str, schema: Mapping[str, Any], settings: Settings, top: int
) -> Verb[list[FilledObject]]:
    """See `LanguageModel.fill_object`."""
    top = whole("top", top)
    (prompt,) = listed([prompt])
    before = prompt + "\n" if prompt and not prompt.endswith("\n") else prompt
    form = form_of(joined([Text(before), *object_segments(schema)]), model.tokenizer)
    (found,) = yield from fill_forms(model, [form], settings, top)
    texts = [filled.text.removeprefix(before) for filled in found]
    return [FilledObject(json.loads(text), text, filled) for text, filled in zip(texts, found, strict=True)]


@dataclass(frozen=True, eq=False)
class Ready:
    """A text before its first evaluation: its placement, p(length | text) of each hole, a request per sample."""

    placement: Placement
    lengths: list[dict[int, float]]
    canvas: Canvas

    @classmethod
    def of(cls, model: Trained, form: Form, settings: Settings) -> "Evaluated[Ready]":
        """UserError for what cannot be decoded."""
        refuse_blocks(model)
        if model.predictor.traits.one_sided and settings.limits.any:
            raise UserError(
                "a causal model writes a token with each evaluation, and a limit would leave the blank unfinished: "
                "leave it out, or continue the text: undiffuse generate TEXT"
            )
        if model.begins:
            form = Form((Fixed(tuple(model.begins), ""), *form.parts))
        refuse_too_long(model, form)
        settings.decoder().check_strategy(model.predictor)
        key = Draws.seeded(settings.seed).stream("fill")
        if settings.guidance is not None:  # which lengths follow too
            shortest = Placement(model, form, [blank.minimum for blank in form.blanks])
            settings.decoder().check(model.predictor, shortest.canvas([key], settings))
        placement, lengths = yield from choose_lengths(model, form, settings)
        settings.check(sum(placement.lengths))
        canvas = placement.canvas([key.at(sample) for sample in range(settings.samples)], settings)
        settings.decoder().check(model.predictor, canvas)
        return cls(placement, lengths, canvas)


def fill_forms(model: Trained, forms: Sequence[Form], settings: Settings, top: int) -> Verb[list[list[Filled]]]:
    """`fill` for texts that are laid out already."""
    traits = model.predictor.traits
    fitted = suited(model.predictor, settings) if traits.one_sided or traits.floating else settings
    texts: list[Ranked | Ready] = []
    for number, form in enumerate(forms):
        with naming(number, len(forms)):
            texts.append(
                Ranked.of(model, form, settings)
                if followed(model, form)
                else (yield from Ready.of(model, form, fitted))
            )
    found: list[list[Filled]] = [[] for _ in texts]
    ready = [(number, text) for number, text in enumerate(texts) if isinstance(text, Ready)]
    sizes = [text.canvas.ids.shape for _, text in ready]
    for together in batches([length for _, length in sizes], [rows for rows, _ in sizes]):
        some = [ready[place] for place in together]
        answers = yield from _together(model, [text for _, text in some], fitted, top)
        for (number, _), answer in zip(some, answers, strict=True):
            found[number] = answer
    for number, text in enumerate(texts):
        if isinstance(text, Ranked):
            found[number] = yield from text.filled(top)
    return found


def _together(model: Trained, texts: Sequence[Ready], settings: Settings, top: int) -> Verb[list[list[Filled]]]:
    """Texts that share a batch."""
    canvas = Canvas.concatenate([text.canvas for text in texts]).to(model.device)
    placements = [text.placement for text in texts for _ in range(settings.samples)]
    trail: list[Canvas] = []
    requests = requests_of(model.predictor, canvas, settings.decoder(constraint(placements)))
    yield from denoised(model.predictor, requests, trail.append)
    if model.predictor.process.moves_vectors:
        trail[-1] = yield from recorded_apart(model, placements, trail[-1])
    everyone = trail[-1]
    others = (yield from alternatives(model, placements, settings, trail, top - 1)) if top > 1 else {}
    found = []
    for number, text in enumerate(texts):
        rows = torch.arange(settings.samples) + number * settings.samples
        done, answers = everyone.select(rows.to(everyone.ids.device)), []
        chances = yield from text_probabilities(model, text.placement, done, settings.guidance)
        for sample, row in enumerate(rows.tolist()):
            holes = [
                _hole(text, done, sample, hole, others.get((row, hole), ()), chances.get((sample, hole)), top)
                for hole in range(len(text.placement.holes))
            ]
            answers.append(_result(model, text.placement, done, sample, tuple(holes), settings))
        found.append(answers)
    return found


def followed(model: Trained, form: Form) -> bool:
    """Whether a causal model must rank the fillings: something stands after a blank, which its network does not see."""
    first = next(place for place, part in enumerate(form.parts) if isinstance(part, Blank))
    return model.predictor.traits.one_sided and any(isinstance(part, Fixed) for part in form.parts[first:])


def refuse_blocks(model: Trained) -> None:
    """UserError where the text after a blank would not be seen, and cannot be ranked by either."""
    traits, length = model.predictor.traits, model.predictor.traits.block_length
    if length is not None and not traits.floating:  # else a canvas begins at the first blank, seen from both sides
        raise UserError(
            f"a blank would not see the text after it: this model reads from one side, its network has attention "
            f"blocks of {length} tokens. Fill with a model of another recipe (undiffuse train FILE --recipe default); "
            "this one continues texts: undiffuse generate TEXT"
        )


def _hole(
    ready: Ready,
    done: Canvas,
    row: int,
    hole: int,
    others: tuple[Alternative, ...],
    chances: dict[str, float] | None,
    top: int,
) -> HoleFill:
    placement, lengths = ready.placement, ready.lengths[hole]
    text, probability = placement.answer(done, row, hole)
    if chances is not None:
        probability = chances[text]
        ranked = sorted(chances, key=lambda choice: -chances[choice])
        others = tuple(Alternative(choice, chances[choice]) for choice in ranked if choice != text)[: top - 1]
    written = placement.form.blanks[hole].hole
    shares = tuple(Length(n, p) for n, p in lengths.items()) if len(lengths) > 1 else ()
    kind = "path" if chances is None else "text"
    return HoleFill(hole, text, probability, others, written.name if written else "", shares, kind)


def _result(
    model: Trained, placement: Placement, done: Canvas, row: int, holes: tuple[HoleFill, ...], settings: Settings
) -> Filled:
    nfe = int(done.nfe[row])
    return Filled(
        text=placement.text(done, row),
        holes=holes,
        nfe=nfe,
        tokens_per_forward=sum(placement.lengths) / nfe,
        seed=settings.seed,
        strategy=settings.kind,
        model=model.name,
        note=advice(placement.form, model.tokenizer) or "",
    )
