"""How long a hole of undetermined length should be: the one score that chooses.

A hole of n tokens moves the text after it n places away from the text before it, and a model that sees both sides knows
which distance suits them. By Bayes, p(n | text) ∝ p(n) · p(text after | text before, a hole of n tokens): the tokens
right after the hole are hidden too and read off one by one, nearest first, with the hole still open. The prior is
geometric, each further token `continuation` times as probable as the one before. With no text after the hole the prior
alone decides, for the shortest length. Under guidance by the fixed text, of scale γ, it is p(n) · p(text after | …)^γ.

Of a record it is known where the text ends, and more ends stand after it (`data/packing.py`). Everything after the hole
is read then, to these ends, and p(text after, end | text before) says how long the hole is without a prior. A network
that has learned facts knows better what follows a name than what follows a hole, so the hole is filled first, by some
x of n tokens; for every x, by Bayes (the candidate's formula, Chib 1995),

    p(text after | text before) = p(x, text after | text before) / p(x | text before, text after).

Open positions are at time 1 and hold noise, all others are at 0. Of a network that is told the time of every position
(and under plain masks, where none need be told) this is exact. One that is told a single level for its row, as with
uniform noise and a leave-one-out head, knows how many positions are noise and not which.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..predictor import Predictor
from ..text.automaton import Automaton
from .automaton import Program
from .canvas import Canvas
from .evaluation import Evaluate, Evaluated
from .guidance.guidance import Guidance
from .observe import guided_at
from .passes import Sites, predict_at


@dataclass(frozen=True)
class Reading:
    """How many tokens after the hole are read at most (None: all; at the next hole reading ends), and the prior."""

    most: int | None = 4
    continuation: float = 0.7


TEXT, RECORD = Reading(), Reading(None, 1.0)
READ_AT_ONCE = 4096
"""Positions of a batch in which tokens are read."""


@torch.no_grad()
def length_score(
    predictor: Predictor,
    canvas: Canvas,
    begin: Int[Tensor, " R"],
    end: Int[Tensor, " R"],
    guidance: Guidance | None = None,
    reading: Reading = TEXT,
) -> Evaluated[Float[Tensor, " R"]]:
    """ln p(n) + ln p(following tokens | text before, hole open), nats, for one candidate length per request.

    Positions `begin` to `end` (exclusive) are the hole; it and later holes are pending.
    """
    power = 1.0 if guidance is None else guidance.of_text
    place = canvas.positions
    fixed_after = (place >= end[:, None]) & canvas.valid & ~canvas.pending
    # the run of fixed tokens right after the hole
    stop = end + (canvas.ids.shape[1] if reading.most is None else reading.most)
    read = fixed_after & (place < stop[:, None]) & ((canvas.pending & (place >= end[:, None])).cumsum(-1) == 0)
    # what is never predicted, a mark around the text, says nothing of its length
    read &= ~torch.isin(canvas.ids, torch.tensor(predictor.process.vocabulary.unpredictable).to(canvas.ids))
    noise = predictor.process.prior(canvas.draws.stream("prior")).ids
    score = (end - begin).double() * math.log(reading.continuation)
    for step in range(int(read.sum(-1).max())):
        hidden = canvas.pending | (read & (place >= (end + step)[:, None]))
        here = read & (place == (end + step)[:, None])
        sites = Sites.of(here)
        state = canvas.replace(ids=torch.where(hidden, noise, canvas.ids))
        yield Evaluate.of(state.ids)
        prediction = predict_at(predictor, state, sites, hidden.double())
        truth = prediction.log_prob(sites.gather(canvas.ids))
        score += power * torch.where(sites.live, truth.double(), 0.0).sum(-1)
    return score


@torch.no_grad()
def reading_score(predictor: Predictor, canvas: Canvas, begin: Int[Tensor, " R"]) -> Evaluated[Float[Tensor, " R"]]:
    """ln p(what stands from `begin` on | text before), nats, its tokens read one after the other, for each request.

    What is after the token that is read is hidden.
    """
    read = (canvas.positions >= begin[:, None]) & canvas.valid
    read &= ~torch.isin(canvas.ids, torch.tensor(predictor.process.vocabulary.unpredictable).to(canvas.ids))
    noise = predictor.process.prior(canvas.draws.stream("prior")).ids
    score = torch.zeros(len(begin), dtype=torch.float64, device=begin.device)
    rows, places = read.nonzero(as_tuple=True)
    for some in torch.arange(len(rows), device=begin.device).split(max(1, READ_AT_ONCE // canvas.ids.shape[1])):
        row, place = rows[some], places[some]
        hidden = read[row] & (canvas.positions[row] >= place[:, None])
        state = canvas.select(row).replace(ids=torch.where(hidden, noise[row], canvas.ids[row]))
        sites = Sites.of(canvas.positions[row] == place[:, None], 1)
        yield Evaluate.of(state.ids)
        truth = predict_at(predictor, state, sites, hidden.double()).log_prob(canvas.ids[row, place][:, None])
        score.index_add_(0, row, truth[:, 0].double())
    return score


@torch.no_grad()
def language_score(
    predictor: Predictor,
    canvas: Canvas,
    begin: Int[Tensor, " R"],
    end: Int[Tensor, " R"],
    language: Automaton,
    guidance: Guidance | None = None,
) -> Evaluated[Float[Tensor, " R"]]:
    """ln of the mass of a language under the marginals of each request's hole, all of it and later holes open; nats."""
    here = (canvas.positions >= begin[:, None]) & (canvas.positions < end[:, None])
    noise = predictor.process.prior(canvas.draws.stream("prior")).ids
    state = canvas.replace(ids=torch.where(canvas.pending, noise, canvas.ids))
    sites = Sites.of(here)
    yield Evaluate.of(state.ids)
    log_p = guided_at(predictor, state, sites, canvas.pending.double(), guidance).posterior()
    sizes = (end - begin).tolist()
    masses = [Program.of(language, log_p[row : row + 1, :size]).log_mass() for row, size in enumerate(sizes)]
    return torch.cat(masses)
