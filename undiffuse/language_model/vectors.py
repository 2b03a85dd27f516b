"""What is said of the tokens of a hole where noise is on vectors.

At the end of a decoding a latent z_i is nearly its token: a posterior says little but z_i, and where its evidence is
divided out (leave-one-out) what is left is rounding. A network that predicts embeddings has no distribution to divide.
So the finished text x is read again, one row for every position i of a hole, with the vector at i unknown (t = 1, at
the mean of the prior) and all others clean:

    p(x_i | x without x_i).

That is what is said of a token, and of the alternatives to it, under all noise that shows tokens. A predicted embedding
is rounded: what it gives is how surely the vector is one token's, which is p only where one token is certain.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..decode.canvas import Canvas
from ..decode.evaluation import Evaluate, Evaluated
from ..decode.passes import Sites, predict_at
from ..decode.proposal import log_prob
from .many import in_batches
from .placement import Placement, constraint
from .trained import Trained


def read_apart(model: Trained, canvas: Canvas, positions: Bool[Tensor, "R L"]) -> Evaluated[Float[Tensor, "R M V"]]:
    """ln p of every token at some positions of each request (in the order of `Sites`), each given all the others."""
    sites = Sites.of(positions)
    rows, slots = sites.live.nonzero(as_tuple=True)
    found = torch.zeros(*sites.index.shape, model.predictor.process.vocabulary.rows, device=canvas.ids.device)
    for some in in_batches(torch.arange(len(rows), device=rows.device), canvas.ids.shape[1]):
        row, slot = rows[some], slots[some]
        alone = canvas.positions[row] == sites.index[row, slot][:, None]
        state = canvas.select(row).replace(pending=alone)
        yield Evaluate.of(state.ids)
        log_p = predict_at(model.predictor, state, Sites.of(alone), alone.double()).posterior()[:, 0]
        found = found.to(log_p.dtype)
        found[row, slot] = log_p
    return found


@torch.no_grad()
def recorded_apart(model: Trained, placements: Sequence[Placement], done: Canvas) -> Evaluated[Canvas]:
    """Finished requests with ln p of the tokens of their holes read apart; of what a type ties, of all together."""
    inside = torch.zeros_like(done.pending)
    for row, placement in enumerate(placements):
        for begin, end in placement.holes:
            inside[row, begin:end] = True
    sites, allowing, state = Sites.of(inside), constraint(placements), done.replace(pending=inside)
    log_p, allowed = (yield from read_apart(model, done, inside)), allowing.allowed(state, sites)
    if allowed is not None:
        log_p = log_p.masked_fill(~(allowed | ~sites.live[..., None]), -torch.inf).log_softmax(-1)
    ids = sites.gather(done.ids)
    logp = allowing.chained(state, sites, log_p, sites.live, ids, log_prob(log_p, ids))
    return done.replace(commit_logp=sites.scatter(logp, done.commit_logp))
