"""Choices compared with each other: each is put into its hole, with its own number of tokens, and scored.

p(choice | rest) ∝ p(n) · p(text after | text before, a hole of n tokens) · Π_i p(x_i | rest, x_1 … x_{i−1}), the last
by the chain rule from left to right: by Bayes the probability among the choices, whatever their lengths.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..decode.canvas import Canvas
from ..decode.guidance.guidance import Guidance
from ..decode.length import length_score
from ..decode.observe import guided_at
from ..decode.passes import Sites
from ..predictor import Predictor
from ..randomness import Draws
from ..text.form import Blank
from .placement import Placement
from .settings import Settings
from .trained import Trained

MANY = 64
"""More choices than this are not scored one by one."""


def listed(blank: Blank) -> bool:
    """Whether a hole has choices that are scored one by one."""
    return bool(blank.hole and blank.hole.type and 0 < len(blank.hole.type.choices) <= MANY)


@torch.no_grad()
def choice_scores(
    predictor: Predictor,
    canvas: Canvas,
    begin: Int[Tensor, " K"],
    choices: Sequence[Sequence[int]],
    guidance: Guidance | None = None,
) -> Float[Tensor, " K"]:
    """ln p(choice | rest, its length), nats: request k has an open hole at `begin` that is as long as choice k."""
    size = torch.tensor([len(ids) for ids in choices], device=canvas.ids.device)
    place = canvas.positions - begin[:, None]
    inside = (place >= 0) & (place < size[:, None])
    truth = canvas.ids.masked_scatter(inside, torch.tensor([x for ids in choices for x in ids], device=size.device))
    noise = predictor.process.prior(canvas.draws.stream("prior")).ids
    score = torch.zeros(len(choices), dtype=torch.float64, device=size.device)
    for step in range(int(size.max())):
        hidden = canvas.pending & ~(inside & (place < step))
        sites = Sites.of(inside & (place == step))
        state = canvas.replace(ids=torch.where(hidden, noise, truth))
        prediction = guided_at(predictor, state, sites, hidden.double(), guidance)
        each = prediction.log_prob(sites.gather(truth)).double()
        score += torch.where(sites.live, each, 0.0).sum(-1)
    return score


def choice_probabilities(
    model: Trained, placement: Placement, done: Canvas, guidance: Guidance | None = None
) -> dict[tuple[int, int], dict[str, float]]:
    """Per request and hole of choices: their probabilities given all the rest of the finished text.

    Choices that the context has no room for are left out.
    """
    found = {}
    for hole, blank in enumerate(placement.form.blanks):
        if not listed(blank):
            continue
        assert blank.hole is not None
        assert blank.hole.type is not None
        room = model.context - (placement.holes[-1][1] - placement.holes[0][0]) + placement.lengths[hole]
        spellings = blank.spellings(model.tokenizer)
        texts = [text for text, ids in zip(blank.hole.type.choices, spellings, strict=True) if len(ids) <= room]
        spellings = [ids for ids in spellings if len(ids) <= room]
        placements = [
            Placement(model, placement.form, [*placement.lengths[:hole], len(ids), *placement.lengths[hole + 1 :]])
            for ids in spellings
        ]
        begin, end = torch.tensor([each.holes[hole] for each in placements], device=model.device).T
        rows = range(len(done.ids))
        states = [_opened(placement, each, done, row, hole) for row in rows for each in placements]
        canvas, many = Canvas.concatenate(states).to(model.device), len(done.ids)
        score = length_score(model.predictor, canvas, begin.repeat(many), end.repeat(many))
        score += choice_scores(model.predictor, canvas, begin.repeat(many), spellings * many, guidance)
        for row, each in zip(rows, score.view(many, -1).softmax(-1).tolist(), strict=True):
            found[row, hole] = dict(zip(texts, each, strict=True))
    return found


def _opened(placement: Placement, other: Placement, done: Canvas, row: int, hole: int) -> Canvas:
    """The canvas of another placement with everything decided as in a finished request, except one hole."""
    canvas = other.canvas([Draws.seeded(0).stream("choice")], Settings.of("ancestral"))
    ids, pending = canvas.ids.clone(), torch.zeros_like(canvas.pending)
    for number, ((begin, end), (a, b)) in enumerate(zip(other.holes, placement.holes, strict=True)):
        if number == hole:
            pending[:, begin:end] = True
        else:
            ids[:, begin:end] = done.ids[row, a:b].to(ids.device)
    return canvas.replace(ids=ids, pending=pending)
