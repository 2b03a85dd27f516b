"""The likelihood under causal networks: exact, by the chain rule in one pass."""

import torch

from ..decode.evaluation import Evaluate, Evaluated
from ..errors import UserError
from ..objective.autoregressive import clean
from ..predictor import Predictor
from ..types import Batch
from .estimate import Estimate
from .windows import chunks

AT_ONCE = 512
"""Positions that go through the head together: a large vocabulary makes a gigabyte of a few thousand."""


@torch.no_grad()
def chain(predictor: Predictor, text: Batch) -> Evaluated[Estimate]:
    """−ln p(text) = Σ −ln p(x_i | x before i), each window from its start.

    UserError if there is no token of which something before it speaks.
    """
    told = predictor.told(text)
    if not bool(told.any()):
        raise UserError(
            "there is nothing to score: the first token of a text is a condition for this model, which has no start "
            "symbol; give a longer text, or a prompt"
        )
    nats = torch.zeros(text.ids.shape, dtype=torch.float64, device=text.ids.device)
    for part in chunks(text):
        yield Evaluate.of(part.ids)
        noised, hidden = clean(part), predictor.hidden(clean(part), part)
        for sites in told[part.slot].nonzero().split(AT_ONCE):
            row, place = sites.unbind(-1)
            truth = part.ids[row, place]
            log_p = predictor.read(hidden[row, place], noised.state[row, place], noised.t[row, place]).logits
            nats[part.slot[row], place] = -log_p.log_softmax(-1).gather(-1, truth[:, None])[:, 0].double()
    by_row = nats.sum(-1).cpu()
    return Estimate(
        diffusion=by_row[None],
        ends=torch.zeros_like(by_row[None]),
        prior_by_row=torch.zeros_like(by_row),
        parts=torch.zeros_like(by_row, dtype=torch.long),
        levels=torch.zeros_like(by_row, dtype=torch.long),
        tokens=int(told.sum()),
        passes=1,
        kind="exact",
        per_token=nats[told],
    )
