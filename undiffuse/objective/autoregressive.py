"""Next-token cross-entropy: the autoregressive twin, for comparisons."""

from dataclasses import dataclass

import torch

from ..errors import UserError
from ..predictor import Predictor
from ..randomness import Draws
from ..types import Batch, Noised, State
from .objective import Loss, Objective, summed


@dataclass(frozen=True)
class Autoregressive(Objective):
    """−ln p(x_i | x before i) of every token, by a causal network (`model.causal`): exact, without noise."""

    head = "leave_one_out"
    is_bound = True

    def check(self, predictor: Predictor) -> None:
        super().check(predictor)
        if not predictor.traits.one_sided:
            raise UserError("objective 'autoregressive' needs a causal network: set model.causal=true")

    def loss(self, predictor: Predictor, batch: Batch, draws: Draws, rows: int) -> Loss:
        noised, sites = clean(batch), predictor.told(batch)
        logits = predictor.predict(noised, batch, sites).logits
        nats = torch.nn.functional.cross_entropy(logits, batch.ids[sites], reduction="none")
        return summed(nats, sites, noised, sites, batch)


def clean(batch: Batch) -> Noised:
    """A batch without noise: no row of a causal network sees its own token."""
    t = torch.zeros(batch.ids.shape, dtype=torch.float64, device=batch.ids.device)
    return Noised(batch.ids, State(batch.ids), t, batch.editable)
