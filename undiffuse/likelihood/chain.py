"""The likelihood of the autoregressive twin: exact, by the chain rule in one pass."""

import torch

from ..objective.autoregressive import clean
from ..predictor import Predictor
from ..types import Batch
from .estimate import Estimate
from .windows import chunks


@torch.no_grad()
def chain(predictor: Predictor, text: Batch) -> Estimate:
    """−ln p(text) = Σ −ln p(x_i | x before i), each window from its start."""
    nats = torch.zeros(text.ids.shape, dtype=torch.float64, device=text.ids.device)
    for part in chunks(text):
        sites = part.editable
        log_p = predictor.predict(clean(part), part, sites).logits.log_softmax(-1)
        value = torch.zeros(part.ids.shape, dtype=torch.float64, device=text.ids.device)
        value[sites] = -log_p.gather(-1, part.ids[sites][:, None])[:, 0].double()
        nats[part.slot] = value
    by_row = nats.sum(-1).cpu()
    return Estimate(
        diffusion=by_row[None],
        ends=torch.zeros_like(by_row[None]),
        prior_by_row=torch.zeros_like(by_row),
        parts=torch.zeros_like(by_row, dtype=torch.long),
        levels=torch.zeros_like(by_row, dtype=torch.long),
        tokens=int(text.editable.sum()),
        passes=1,
        kind="exact",
        per_token=nats[text.editable],
    )
