"""What objectives on vectors share: their noise, and predictions of a network that sees its own earlier estimate.

Feedback is the network's own estimate from a first pass over the same noisy text, without gradient. That makes both
passes one function of the noisy text, so a bound of the second holds (self-conditioning, Chen et al. 2022).
"""

import torch
from jaxtyping import Bool
from torch import Tensor

from ..predictor import Predictor
from ..process.needs import Need, moves_vectors, on_vectors
from ..process.prediction import Prediction
from ..types import Batch, Noised

VECTORS = (
    Need(moves_vectors, 'this objective is for noise on vectors: set process.kind="gaussian" and model.latent=16'),
)


def predict(
    predictor: Predictor, noised: Noised, batch: Batch, sites: Bool[Tensor, "B L"], fed: Bool[Tensor, " B"]
) -> Prediction:
    """A prediction at the sites; rows that are `fed` see the estimate of a first pass, if the network takes any."""
    if "feedback" not in predictor.traits.takes or not bool(fed.any()):
        return predictor.predict(noised, batch, sites)
    process = on_vectors(predictor.process)
    feedback = torch.zeros(*batch.ids.shape, process.size, device=batch.ids.device)
    with torch.no_grad():
        rows = fed.nonzero()[:, 0]
        part = noised[rows]
        estimate = process.estimate(predictor.predict(part, batch.rows(rows), part.editable))
        feedback = feedback.to(estimate.dtype)
        feedback[rows] = feedback[rows].masked_scatter(part.editable[..., None], estimate)
    return predictor.predict(noised, batch, sites, feedback)
