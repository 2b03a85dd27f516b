"""A run whose feed-forward layers are of another kind."""

import torch

from undiffuse import load
from undiffuse.models.feed_forward.experts import Experts


def test_experts_train_and_come_back_as_they_were(train_tiny):
    run = train_tiny("model.feed_forward.kind=experts", "model.feed_forward.experts=3", steps=8)
    model = load(run.directory)
    assert model.predictor.denoiser.config.feed_forward == Experts(3, 2)
    assert model.manifest["model"]["feed_forward"] == {
        "kind": "experts",
        "experts": 3,
        "chosen": 2,
        "inner": 0,
        "shared": 0,
        "over": "chosen",
    }
    before, after = (m.score("ab jc d" * 9, seed=1).nats_per_token for m in (run.model, model))
    assert before == after
    down = model.predictor.denoiser.blocks[0].feed_forward.down.weight
    assert all(bool(part.any()) for part in down.chunk(3))
    assert torch.isfinite(down).all()
