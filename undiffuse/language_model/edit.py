"""Spans of a text written anew from a text that is noisy in part: as much of it stays as the strength says.

At strength 1 nothing of a span is known but its number of tokens, as in `fill`. At strength t < 1 the noise of the
process begins at the time t:

    noise that hides tokens     ⌈t · n⌉ of the n tokens of all spans are masked, drawn without replacement, and written
                                anew given all the rest; the others stay
    noise that shows tokens     z ~ q_t(z | text) in the spans, and the reverse process leads from t to 0; any token of
                                a span may change on the way

so a small strength varies a text and a large one replaces it. What is written holds whole characters, and the space
before a span stays one.
"""

import math
from collections.abc import Sequence

import torch

from ..decode.canvas import Canvas, start
from ..decode.demand import Verb, denoised, requests_of
from ..errors import UserError
from ..process.needs import Need, moves_tokens, require
from ..randomness import Draws
from ..text.form import SPACE, Fixed, Form, form_of
from ..text.holes import Hole, Segment, Text
from .fill import refuse_blocks
from .placement import Placement, constraint
from .results import Filled, HoleFill
from .settings import Settings
from .trained import Trained

NEEDS = (
    Need(
        moves_tokens,
        "this model's noise is added to vectors, and a text is edited by noise between tokens: write the spans anew, "
        "with fill",
    ),
)


def edit(
    model: Trained, text: str, spans: Sequence[tuple[int, int]], strength: float, settings: Settings
) -> Verb[list[Filled]]:
    """See `LanguageModel.edit`."""
    if not 0 < strength <= 1:
        raise UserError(f"strength must lie between 0, where all stays, and 1, where nothing does; not {strength}")
    require(NEEDS, model.predictor.process)
    if model.predictor.traits.one_sided:
        raise UserError("a causal model ranks whole fillings, and leaves none half written: use fill")
    refuse_blocks(model)
    placement, tokens = _placed(model, text, ordered(text, spans))
    settings.check(len(tokens))
    key = Draws.seeded(settings.seed).stream("fill")
    keys = [key.at(sample) for sample in range(settings.samples)]
    canvas = _noisy(model, placement, tokens, strength, keys, settings).to(model.device)
    placements = [placement] * settings.samples
    how = settings.decoder(constraint(placements))
    how.check(model.predictor, canvas)
    done = yield from denoised(model.predictor, requests_of(model.predictor, canvas, how))
    return [_result(model, placement, canvas, done, row, settings) for row in range(settings.samples)]


def ordered(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans of characters from left to right. UserError for those that overlap, are empty, or lie outside the text."""
    found, end = sorted(spans), 0
    if not found:
        raise UserError("there is no span to edit: give one, as places of characters (start, end)")
    for first, stop in found:
        if not end <= first < stop <= len(text):
            raise UserError(
                f"span {first} to {stop} must lie within the text of {len(text)} characters, hold one at least, and "
                "overlap no other"
            )
        end = stop
    return found


def _placed(model: Trained, text: str, spans: Sequence[tuple[int, int]]) -> tuple[Placement, list[int]]:
    """The text with its spans as holes of as many tokens as they have, and these tokens."""
    segments: list[Segment] = []
    tokens: list[int] = []
    end = 0
    for first, stop in spans:
        before = text[end:first]
        segments += [Text(before)] if before else []
        prefix = SPACE if before.endswith(SPACE) and model.tokenizer.leading else ""
        codec = model.tokenizer.continuing if segments else model.tokenizer
        own = codec.context(prefix + text[first:stop])
        written = model.tokenizer.decode_bytes(own)
        if written.decode(errors="replace").removeprefix(SPACE) != (prefix + text[first:stop]).removeprefix(SPACE):
            raise UserError(f"this model's tokenizer changes {text[first:stop]!r}, so it cannot be edited in place")
        segments.append(Hole(len(own), len(own), f"[MASK:{len(own)}]"))
        tokens += own
        end = stop
    segments += [Text(text[end:])] if end < len(text) else []
    begins = (Fixed(tuple(model.begins), ""),) if model.begins else ()
    form = Form((*begins, *form_of(segments, model.tokenizer).parts))
    return Placement(model, form, [blank.minimum for blank in form.blanks]), tokens


def _noisy(
    model: Trained,
    placement: Placement,
    tokens: Sequence[int],
    strength: float,
    keys: Sequence[Draws],
    settings: Settings,
) -> Canvas:
    """The text with the noise of a strength in its spans, one request per key."""
    process, inside = model.predictor.process, torch.zeros_like(placement.ids, dtype=torch.bool)
    for begin, end in placement.holes:
        inside[begin:end] = True
    ids, plan = (
        placement.ids.masked_scatter(inside, torch.tensor(tokens)),
        settings.plan(model.predictor, settings.steps),
    )
    found = []
    for key in keys:
        draws = key.stream("strength").along(len(ids))
        if process.shows_tokens:
            t = torch.full(ids.shape, strength, dtype=torch.float64)
            noisy = ids if strength == 1 else process.corrupt(ids, t, draws, inside).state.ids  # 1 is for the loop
            found.append(start(noisy, inside, key=key, begins=strength, **plan))
        else:
            order = draws.uniform().masked_fill(~inside, 2.0).argsort().argsort()
            found.append(start(ids, order < math.ceil(strength * len(tokens)), key=key, **plan))
    return Canvas.concatenate(found)


def _result(model: Trained, placement: Placement, begun: Canvas, done: Canvas, row: int, settings: Settings) -> Filled:
    nfe, written = int(done.nfe[row]), int(begun.pending[row].sum())
    answers = [placement.answer(done, row, hole) for hole in range(len(placement.holes))]
    return Filled(
        text=placement.text(done, row),
        holes=tuple(
            HoleFill(number, text, probability, (), "", (), "path")
            for number, (text, probability) in enumerate(answers)
        ),
        nfe=nfe,
        tokens_per_forward=written / nfe if nfe else 0.0,
        seed=settings.seed,
        strategy=settings.kind,
        model=model.name,
    )
