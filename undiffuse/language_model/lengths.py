"""How many tokens each hole takes: the length posterior, hole by hole.

By Bayes, p(n | text) ∝ p(n) · p(text after | text before, a hole of n tokens) (`decode/length.py`). Where a hole has a
type the probability that n tokens make a text of it belongs to the product: exactly, over the texts of a small type;
else the mass of the type's language under the marginals of the open hole, which is exact for one token. Of records
candidates are filled, under the hole's type, and compared by what they explain.
"""

import torch
from torch import Tensor

from ..decode.canvas import Canvas
from ..decode.demand import walked
from ..decode.evaluation import Evaluated
from ..decode.guidance.guidance import Guidance
from ..decode.length import RECORD, language_score, length_score, reading_score
from ..errors import UserError
from ..randomness import Draws
from ..text.form import Form
from .choices import member_scores, members
from .placement import Placement, constraint
from .settings import Settings
from .trained import Trained


def refuse_too_long(model: Trained, form: Form) -> None:
    """UserError for holes that may not fit the context. A hole with a type takes what room there is."""
    for blank in form.blanks:
        if blank.language and blank.minimum > model.room:
            what = blank.hole.named if blank.hole else "a hole"
            raise UserError(
                f"nothing that fits can stand in {what}: it takes at least {blank.minimum} tokens, and the model was "
                f"trained on {model.room}"
            )
    Placement(model, form, _widest(form))


def choose_lengths(
    model: Trained, form: Form, settings: Settings
) -> Evaluated[tuple[Placement, list[dict[int, float]]]]:
    """The most probable length of each hole in reading order, later ones at their shortest; the shortest among equals.

    Also p(n | text) of every length that was considered.
    """
    key = Draws.seeded(settings.seed).stream("length")
    lengths = [blank.minimum for blank in form.blanks]
    posteriors = []
    for number in range(len(form.blanks)):
        sizes = _fitting(model, form, lengths, number)
        if len(sizes) == 1:
            posteriors.append({sizes[0]: 1.0})
        else:
            score = yield from _scores(model, form, lengths, number, sizes, key, settings.guidance)
            posteriors.append(dict(zip(sizes, score.softmax(0).tolist(), strict=True)))
            lengths[number] = sizes[int(score.argmax())]
    return Placement(model, form, lengths), posteriors


def _scores(
    model: Trained,
    form: Form,
    lengths: list[int],
    number: int,
    sizes: list[int],
    key: Draws,
    guidance: Guidance | None,
) -> Evaluated[Tensor]:
    """ln p(n, what is fixed, the hole's type), up to a constant, for every size."""
    blank = form.blanks[number]
    placements = {size: Placement(model, form, [*lengths[:number], size, *lengths[number + 1 :]]) for size in sizes}
    begin, end = torch.tensor([each.holes[number] for each in placements.values()], device=model.device).T
    canvas = Canvas.concatenate([each.canvas([key], Settings.of("ancestral")) for each in placements.values()])
    canvas = canvas.to(model.device)
    few = members(blank)
    masked = model.predictor.process.mask is not None
    if few is None and guidance is None and masked and model.reading == RECORD:
        return (yield from _by_filling(model, canvas, list(placements.values())))
    score = yield from length_score(model.predictor, canvas, begin, end, guidance, model.reading)
    if few is not None:
        alike = [[tokens for tokens in few if len(tokens) == size] for size in sizes]
        each = yield from member_scores(model.predictor, canvas, begin, alike, guidance)
        score += torch.stack([same.logsumexp(0) for same in each])
    elif blank.language:
        score += yield from language_score(model.predictor, canvas, begin, end, blank.language, guidance)
    return score


def _by_filling(model: Trained, canvas: Canvas, placements: list[Placement]) -> Evaluated[Tensor]:
    """ln p(what is fixed from the first hole on, what holes may hold | text before), all holes filled to find it."""
    first = torch.tensor([placement.holes[0][0] for placement in placements], device=model.device)
    settings = Settings.of("confidence", temperature=0.0)
    *_, canvas = yield from walked(model.predictor, canvas, settings.decoder(constraint(placements)))
    filled = torch.where(canvas.commit_step >= 0, canvas.commit_logp, 0.0).double().sum(-1)
    return (yield from reading_score(model.predictor, canvas, first)) - filled


def _fitting(model: Trained, form: Form, lengths: list[int], number: int) -> list[int]:
    """The lengths of a hole that leave room for the others."""
    blank, widest = form.blanks[number], _widest(form)
    placement = Placement(model, form, [*lengths[:number], blank.minimum, *widest[number + 1 :]])
    room = model.room - (placement.holes[-1][1] - placement.holes[0][0]) + blank.minimum
    return [size for size in blank.lengths if size <= room]


def _widest(form: Form) -> list[int]:
    return [blank.minimum if blank.language else blank.maximum for blank in form.blanks]
