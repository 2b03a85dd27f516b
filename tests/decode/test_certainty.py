"""Confidences of nearly certain tokens keep their order where float32 would make them equal."""

import torch

from undiffuse.decode.proposal import Filters, propose
from undiffuse.process.prediction import Prediction
from undiffuse.randomness import Draws


def test_tokens_closer_to_certain_than_float32_can_say():
    left = torch.tensor([1.6e-7, 1.3e-7, 1.1e-9, 3e-5, 0.2], dtype=torch.float64)
    share = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    p = torch.cat((left[:, None] * share, 1 - left[:, None]), dim=1)
    logits = (p.log() + 30).float()[None]
    prediction = Prediction(logits, "posterior", lambda: None)
    proposal = propose(prediction, Filters(), Draws.seeded(0).along(5)[None])
    assert (proposal.ids == 3).all()
    assert torch.allclose(1 - proposal.confidence[0], left, rtol=1e-4, atol=0)
    assert torch.allclose(proposal.odds[0], (1 - left).log() - left.log(), rtol=0, atol=1e-4)
    assert torch.allclose(proposal.logp[0], (-left).log1p(), rtol=1e-4, atol=0)
    assert len(set(logits.log_softmax(-1)[0, :2, 3].tolist())) == 1, "the case that float32 cannot tell"
