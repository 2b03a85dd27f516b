"""The texts of a small type compared with each other: each is put into its hole, with its own number of tokens.

Of the sequences of tokens that a type's language has, where they are few (`text/automaton.py`),

    p(x | rest, type) ∝ p(n) · p(text after | text before, a hole of n tokens) · Π_i p(x_i | rest, n, x_1 … x_{i−1}),

the first two as for a length (`decode/length.py`), the last by the chain rule from left to right: by Bayes the
probability among the type's texts, whatever their lengths. A text that several sequences spell has the sum of theirs.
A beginning that several sequences share is read once.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..decode.canvas import Canvas
from ..decode.evaluation import Evaluate, Evaluated
from ..decode.guidance.guidance import Guidance
from ..decode.length import length_score
from ..decode.observe import guided_at
from ..decode.passes import Sites
from ..predictor import Predictor
from ..randomness import Draws
from ..text.form import Blank
from .many import in_batches
from .placement import Placement
from .settings import Settings
from .trained import Trained

Tokens = tuple[int, ...]


def members(blank: Blank) -> Sequence[Tokens] | None:
    """The sequences of tokens that a hole may hold, where they are few enough to be compared with each other."""
    return blank.language.members if blank.language else None


@torch.no_grad()
def member_scores(
    predictor: Predictor,
    canvas: Canvas,
    begin: Int[Tensor, " R"],
    each: Sequence[Sequence[Tokens]],
    guidance: Guidance | None = None,
) -> Evaluated[list[Float[Tensor, " K"]]]:
    """ln p(sequence | rest, its length), nats, of some sequences per request.

    Request r has an open hole at `begin` that is as long as each of its sequences.
    """
    follow: dict[tuple[int, Tokens], dict[int, float]] = {}
    for r, sequences in enumerate(each):
        for tokens in sequences:
            for size, token in enumerate(tokens):
                follow.setdefault((r, tokens[:size]), {})[token] = 0.0
    for some in in_batches(list(follow), canvas.ids.shape[1]):
        rows = torch.tensor([r for r, _ in some], device=canvas.ids.device)
        sizes = torch.tensor([len(tokens) for _, tokens in some], device=canvas.ids.device)
        state = _begun(canvas.select(rows), begin[rows], [tokens for _, tokens in some])
        noise = predictor.process.prior(state.draws.stream("prior")).ids
        shown = state.replace(ids=torch.where(state.pending, noise, state.ids))
        sites = Sites.of(state.positions == (begin[rows] + sizes)[:, None])
        yield Evaluate.of(shown.ids)
        prediction = guided_at(predictor, shown, sites, state.pending.double(), guidance)
        for beginning, log_p in zip(some, prediction.posterior()[:, 0].double(), strict=True):
            asked = list(follow[beginning])
            follow[beginning] = dict(zip(asked, log_p[asked].tolist(), strict=True))
    return [
        torch.tensor(
            [sum(follow[r, tokens[:size]][token] for size, token in enumerate(tokens)) for tokens in sequences],
            dtype=torch.float64,
            device=canvas.ids.device,
        )
        for r, sequences in enumerate(each)
    ]


def _begun(canvas: Canvas, begin: Int[Tensor, " R"], each: Sequence[Tokens]) -> Canvas:
    """Every request with its tokens at the beginning of its hole."""
    sizes = torch.tensor([len(tokens) for tokens in each], device=begin.device)
    place = canvas.positions - begin[:, None]
    written = (place >= 0) & (place < sizes[:, None])
    tokens = torch.tensor([token for tokens in each for token in tokens], dtype=torch.long, device=begin.device)
    return canvas.replace(ids=canvas.ids.masked_scatter(written, tokens), pending=canvas.pending & ~written)


def text_probabilities(
    model: Trained, placement: Placement, done: Canvas, guidance: Guidance | None = None
) -> Evaluated[dict[tuple[int, int], dict[str, float]]]:
    """Per request and hole of a small type: p(text | all the rest of the finished text, type).

    Texts that the context has no room for are left out.
    """
    found: dict[tuple[int, int], dict[str, float]] = {}
    for hole, blank in enumerate(placement.form.blanks):
        few = members(blank)
        if few is None:
            continue
        room = model.room - (placement.holes[-1][1] - placement.holes[0][0]) + placement.lengths[hole]
        sizes = sorted({len(tokens) for tokens in few if len(tokens) <= room})
        alike = [[tokens for tokens in few if len(tokens) == size] for size in sizes]
        texts = [blank.shown(model.tokenizer.decode_bytes(tokens)) for same in alike for tokens in same]
        others = [
            Placement(model, placement.form, [*placement.lengths[:hole], size, *placement.lengths[hole + 1 :]])
            for size in sizes
        ]
        begin, end = torch.tensor([other.holes[hole] for other in others], device=model.device).T
        many = len(done.ids)
        states = [_opened(placement, other, done, row, hole) for row in range(many) for other in others]
        canvas, begin, end = Canvas.concatenate(states).to(model.device), begin.repeat(many), end.repeat(many)
        lengths = yield from length_score(model.predictor, canvas, begin, end, guidance, model.reading)
        scores = yield from member_scores(model.predictor, canvas, begin, alike * many, guidance)
        total = torch.cat([length + score for length, score in zip(lengths, scores, strict=True)])
        for row, each in enumerate(total.view(many, -1).softmax(-1).tolist()):
            found[row, hole] = dict.fromkeys(texts, 0.0)
            for text, p in zip(texts, each, strict=True):
                found[row, hole][text] += p
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
