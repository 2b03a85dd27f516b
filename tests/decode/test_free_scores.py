"""Decoding from free ratios: prompts stay, everything is decided, and what cannot work is refused before it runs."""

import pytest
import torch

from undiffuse.decode.canvas import start
from undiffuse.decode.decoder import Decoder, Limits
from undiffuse.decode.guidance.prompt import Prompt
from undiffuse.decode.loop import denoise, finished
from undiffuse.decode.proposal import Filters
from undiffuse.decode.strategies.ancestral import Ancestral
from undiffuse.decode.strategies.confidence import Confidence
from undiffuse.decode.strategies.euler import Euler
from undiffuse.decode.strategies.tweedie import Tweedie
from undiffuse.errors import UserError
from undiffuse.exact.denoiser import ArbitraryDenoiser
from undiffuse.exact.world import World
from undiffuse.language_model.defaults import default_strategy
from undiffuse.predictor import Predictor
from undiffuse.process.destinations.mask import Mask
from undiffuse.process.destinations.uniform import Uniform
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.schedules.geometric import Geometric
from undiffuse.process.schedules.one_minus_t import OneMinusT

LENGTH = 8
WORLD = World(6, LENGTH, torch.empty(0))
TOKENS = WORLD.rows[:-1]
NOISES = {
    "mask": Interpolating(WORLD.vocabulary, OneMinusT(), Mask()),
    "uniform": Interpolating(WORLD.vocabulary, Geometric(), Uniform()),
}
DRAW = Filters(temperature=1.0)


def free(noise, scale=2.0):
    """Ratios that belong to no prediction, some of them far too large."""
    return Predictor(ArbitraryDenoiser(WORLD, seed=3, scale=scale), NOISES[noise], "score")


def decoded(predictor, how, requests=200, steps=5):
    ids = TOKENS[torch.arange(LENGTH) % 6]
    pending = torch.arange(LENGTH) > 1
    one = start(ids, pending, key=0, steps=steps)
    canvas = one.select(torch.zeros(requests, dtype=torch.long)).replace(key=torch.arange(requests))
    return finished(denoise(predictor, canvas, how)), ids, pending


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("strategy", [Tweedie, Euler])
@pytest.mark.parametrize("filters", [DRAW, Filters(temperature=0.7, top_k=2), Filters(temperature=1.0, top_p=0.8)])
def test_free_ratios_decide_everything_and_keep_the_prompt(noise, strategy, filters):
    end, ids, pending = decoded(free(noise), strategy(filters))
    assert not end.pending.any()
    assert torch.isin(end.ids, TOKENS).all()
    assert (end.ids[:, ~pending] == ids[~pending]).all()
    assert end.commit_logp[:, pending].isfinite().all()
    assert int(end.nfe.max()) <= 5


@pytest.mark.parametrize("noise", NOISES)
def test_a_budget_completes_the_text(noise):
    end, _, _ = decoded(free(noise), Decoder(Tweedie(DRAW), limits=Limits(max_nfe=2)))
    assert not end.pending.any()
    assert torch.isin(end.ids, TOKENS).all()
    assert int(end.nfe.max()) == 2


def test_the_total_of_a_free_score_says_how_much_is_revealed():
    """Ratios twice as large reveal twice as much of the mask in a step; `ancestral` reads the shape alone."""

    class Larger(ArbitraryDenoiser):
        def trunk(self, rows, kv=None):
            return 0 * super().trunk(rows) - 2.0

    predictor = Predictor(Larger(WORLD, seed=3), NOISES["mask"], "score")
    revealed = {}
    for strategy in (Tweedie(DRAW), Ancestral(DRAW)):
        ids = TOKENS[torch.zeros(LENGTH, dtype=torch.long)]
        one = start(ids, torch.ones(LENGTH, dtype=torch.bool), key=0, steps=4)
        canvas = one.select(torch.zeros(500, dtype=torch.long)).replace(key=torch.arange(500))
        events = list(denoise(predictor, canvas, strategy))
        revealed[type(strategy)] = events[1].committed.double().mean().item()
    assert revealed[Ancestral] == pytest.approx(0.25, abs=0.03)
    assert revealed[Tweedie] == pytest.approx(0.25 * torch.tensor(-2.0).exp().item(), abs=0.01)


def test_what_needs_predictions_is_refused_under_uniform_noise():
    with pytest.raises(UserError, match="use strategy 'tweedie' or 'euler'"):
        decoded(free("uniform"), Ancestral(DRAW))
    with pytest.raises(UserError, match="guidance mixes predictions"):
        decoded(free("uniform"), Decoder(Tweedie(DRAW), guidance=Prompt(scale=2.0)))


def test_under_masked_noise_every_strategy_reads_the_shape():
    for strategy in (Confidence(), Ancestral(DRAW), Tweedie(DRAW)):
        end, _, _ = decoded(free("mask"), strategy)
        assert torch.isin(end.ids, TOKENS).all()


def test_guided_ratios_are_guided_predictions_at_the_mask():
    """The draw of `ancestral`, key by key."""
    found = [
        decoded(free("mask"), Decoder(kind(DRAW), guidance=Prompt(scale=2.0)))[0].ids for kind in (Tweedie, Ancestral)
    ]
    assert torch.equal(*found)


def test_the_default_for_drawing_is_the_analytic_step():
    assert default_strategy(free("mask"), drawing=True) == "tweedie"
    assert default_strategy(free("mask"), drawing=False) == "confidence"
    assert default_strategy(free("uniform"), drawing=False) == "tweedie"
