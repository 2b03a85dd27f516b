"""Score heads: learned from nothing to the entropy, what is refused, and concrete score matching beside it."""

import math

import pytest
import torch
from torch import nn

from undiffuse.errors import UserError
from undiffuse.exact.catalog import golden
from undiffuse.exact.denoiser import everything
from undiffuse.exact.expectation import diffusion, enumerate_noise, total
from undiffuse.exact.world import toy_a
from undiffuse.models.base import Denoiser
from undiffuse.models.traits import Traits
from undiffuse.objective.concrete_score import ConcreteScore, squares
from undiffuse.objective.score_entropy import ScoreEntropy
from undiffuse.objective.times.equal_count import EqualCount
from undiffuse.predictor import Predictor
from undiffuse.process.destinations.mask import Mask
from undiffuse.process.destinations.mix import Mix
from undiffuse.process.destinations.uniform import Uniform
from undiffuse.process.interpolating import Interpolating
from undiffuse.process.prediction import Prediction
from undiffuse.process.schedules.geometric import Geometric
from undiffuse.process.schedules.one_minus_t import OneMinusT
from undiffuse.types import State

WORLD = toy_a()
VOCABULARY = WORLD.vocabulary
NOISES = {
    "mask": Interpolating(VOCABULARY, OneMinusT(), Mask()),
    "uniform": Interpolating(VOCABULARY, Geometric(), Uniform()),
}


class Small(nn.Module, Denoiser):
    """Two layers that see the whole text of toy A and the noise level."""

    rows = VOCABULARY.rows
    traits = Traits(rows, WORLD.length, everything, takes=frozenset({"level"}))

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.inner = nn.Linear(2 * 3 + 3, 48, dtype=torch.float64)
            self.outer = nn.Linear(48, 2 * self.rows, dtype=torch.float64)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def trunk(self, rows, kv=None):
        seen = nn.functional.one_hot(WORLD.numbers(rows.state.ids), 3).flatten(1).double()
        u = rows.level.amax(-1, keepdim=True).clamp(1e-6, 1 - 1e-6)
        features = torch.cat((seen, u, u.logit() / 4, (1 - u).log() / 4), -1)
        return self.outer(torch.tanh(self.inner(features))).view(*rows.state.ids.shape, self.rows)

    def head(self, hidden):
        return hidden


def trained(process, loss, steps):
    network = Small()
    predictor = Predictor(network, process, "score")
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.02 * (1 - step / steps)
        t = (torch.arange(16) + torch.rand(16, generator=generator)) / 16
        optimizer.zero_grad()
        loss(predictor, t.double()).mean().backward()
        optimizer.step()
    return predictor


STEPS = {"mask": 100, "uniform": 600}


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISES)
def test_score_entropy_learns_the_entropy_of_a_toy(noise):
    predictor = trained(NOISES[noise], lambda p, t: diffusion(p, WORLD, t), STEPS[noise])
    with torch.no_grad():
        assert 0 <= total(predictor, WORLD) - WORLD.entropy < 0.01


def match(predictor, t):
    """Concrete score matching, averaged over everything at each time."""
    found = enumerate_noise(WORLD, predictor.process, t)
    sites = predictor.process.informative(found.noised)
    values = torch.zeros(sites.shape, dtype=torch.float64)
    values[sites] = squares(
        predictor.process.law, predictor.predict(found.noised, found.batch, sites), found.noised[sites]
    )
    return found.average(values, len(t))


@pytest.mark.slow
@pytest.mark.parametrize("noise", NOISES)
def test_concrete_score_matching_comes_near_the_entropy_too(noise):
    """Its minimum is the same; squares see little of small ratios, so the stated distance is wider."""
    predictor = trained(NOISES[noise], match, STEPS[noise] // 2)
    with torch.no_grad():
        found = total(predictor, WORLD)
    assert found - WORLD.entropy > 0
    assert found - WORLD.entropy < 0.1


def test_concrete_score_is_no_bound():
    assert ScoreEntropy().is_bound
    assert not ConcreteScore().is_bound


@pytest.mark.parametrize("objective", [ScoreEntropy, ConcreteScore])
def test_noise_without_a_score_is_refused(objective):
    mixed = Interpolating(VOCABULARY, OneMinusT(), Mix(0.3))
    with pytest.raises(UserError, match="destination 'mask' or 'uniform'"):
        objective().check(Predictor(Small(), mixed, "score"))
    gone = Interpolating(VOCABULARY, OneMinusT(), Uniform())
    with pytest.raises(UserError, match="schedule 'geometric'"):
        objective().check(Predictor(Small(), gone, "score"))
    with pytest.raises(UserError, match="trains a score head"):
        objective().check(Predictor(Small(), NOISES["mask"], "leave_one_out"))
    with pytest.raises(ValueError, match="equal-count"):
        objective(times=EqualCount())


def test_a_free_score_has_no_leave_one_out_form_under_uniform_noise():
    process, t = NOISES["uniform"], torch.tensor([0.5], dtype=torch.float64)
    state = State(WORLD.rows[:1])
    prediction = Prediction(torch.zeros(1, VOCABULARY.rows), "score", lambda: process.log_likelihood(state, t))
    with pytest.raises(UserError, match="use strategy 'tweedie' or 'euler'"):
        prediction.leave_one_out()


def test_at_the_mask_a_score_is_a_distribution_up_to_its_total():
    process, t = NOISES["mask"], torch.tensor([0.5], dtype=torch.float64)
    state = State(torch.tensor([VOCABULARY.mask]))
    logits = torch.full((1, VOCABULARY.rows), -math.inf)
    logits[0, WORLD.rows[:2]] = torch.tensor([0.3, 5.0]).log()
    prediction = Prediction(logits, "score", lambda: process.log_likelihood(state, t))
    for law in (prediction.leave_one_out(), prediction.posterior()):
        assert law.exp()[0, WORLD.rows[:2]].tolist() == pytest.approx([0.3 / 5.3, 5.0 / 5.3])


def test_every_golden_process_is_classified():
    """The objective accepts what a free score can be given under, and only that."""
    accepted = set()
    for name, process in golden(WORLD).items():
        try:
            ScoreEntropy().check(Predictor(Small(), process, "score"))
            accepted.add(name)
        except UserError:
            pass
    assert accepted == {"mask"}
