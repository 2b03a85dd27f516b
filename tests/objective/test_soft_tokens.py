"""Soft tokens in training: what the network is shown, when, and what it is charged."""

import math

import pytest
import torch
from test_objectives import DRAWS, VOCABULARY, batch, predictor

from undiffuse.errors import UserError
from undiffuse.kinds import OBJECTIVES
from undiffuse.objective.bound import Bound
from undiffuse.objective.duo import Duo
from undiffuse.objective.duo_simple import DuoSimple, odds
from undiffuse.objective.flow_matching import FlowMatching
from undiffuse.predictor import Predictor
from undiffuse.process.duo import operator
from undiffuse.training.configuration import read_component


def uniform(objective, **model) -> Predictor:
    return predictor("uniform", head=objective.head, time_conditioning=True, **model)


@pytest.mark.parametrize("objective", [Duo(), DuoSimple(), DuoSimple(as_published=True)])
def test_the_network_sees_soft_tokens_and_learns_from_them(objective, monkeypatch):
    model = uniform(objective)
    objective.check(model)
    seen = []
    trunk = type(model.denoiser).trunk
    monkeypatch.setattr(
        type(model.denoiser), "trunk", lambda self, inputs, *rest: seen.append(inputs) or trunk(self, inputs, *rest)
    )
    text = batch()
    loss = objective.loss(model, text, DRAWS, 6)
    loss.sum.backward()
    ids, weights = seen[0].state.soft
    assert ids.shape == (*text.ids.shape, 4)
    assert torch.allclose(weights.sum(-1), torch.ones(text.ids.shape))
    assert (weights[..., 0][~text.editable] == 1).all()
    assert ids[..., 0].equal(text.ids)
    assert model.denoiser.embedding.weight.grad.abs().sum() > 0
    # the network is told 1 − α: between 0.05 and 0.95, as published between those of t = 0.03 and 0.15
    told = seen[0].level
    assert torch.allclose(told, told[:, :1].expand_as(told)), "one level for a row"
    level = told[:, 0] * text.valid.sum(-1) / text.editable.sum(-1)  # fixed tokens are clean
    low, high = 0.05, 0.95
    if getattr(objective, "as_published", False):
        gamma = [-2 * math.log((1 - t) / math.sqrt(t * (2 - t))) for t in (0.03, 0.15)]
        low, high = (1 - operator(VOCABULARY.size).alpha(torch.tensor(gamma))).tolist()
        assert 0 < low < high < 0.5
    assert low < level.min() <= level.max() < high


def test_duo_ends_as_the_bound():
    objective = Duo(curriculum=0.25)
    assert objective.at(0.2499) is objective
    assert objective.at(0.25) == Bound()
    assert Duo(curriculum=0.0).at(0.0) == Bound()
    assert Duo(curriculum=1.0).at(0.999) == Duo(curriculum=1.0)


def test_temperature_falls_to_nothing():
    temperatures = [DuoSimple(temperature=0.1).at(progress).temperature for progress in (0.0, 0.5, 1.0)]
    assert temperatures == [0.1, 0.05, 1e-8]


def test_divergences_against_their_sums():
    """Over three tokens, one of which cannot be predicted."""
    p = torch.tensor([0.2, 0.5, 0.0, 0.3], dtype=torch.float64)
    x, log_p = torch.tensor(1), p.log()
    target = [1e-8, 1.0, None, 1e-8]
    reverse = sum(v * math.log(v / q) for v, q in zip(p.tolist(), target, strict=True) if q is not None)
    assert DuoSimple().divergence(log_p, x).item() == pytest.approx(-math.log(0.5) + reverse)
    assert DuoSimple(reverse=0.0).divergence(log_p, x).item() == pytest.approx(-math.log(0.5))
    exponentials = sum(
        math.exp(v) * (v - math.log(q + (1e-8 if q == 1.0 else 0.0)))
        for v, q in zip(p.tolist(), target, strict=True)
        if q is not None
    )
    assert DuoSimple(as_published=True).divergence(log_p, x).item() == pytest.approx(-math.log(0.5) + exponentials)


def test_rows_are_scaled_by_their_noise():
    """κ falls with α; the noisiest row has the scale 1, and as published the loss is divided by tokens instead."""
    alpha = torch.tensor([0.0, 0.05, 0.5, 0.95, 1.0], dtype=torch.float64)
    assert odds(alpha, 9)[[0, 4]].tolist() == [1.0, 0.0]
    assert odds(alpha[2], 9).item() == pytest.approx(0.1)
    text = batch()
    ours = DuoSimple().loss(uniform(DuoSimple()), text, DRAWS, 6)
    tokens = text.editable.sum()
    assert 0 < ours.weight < tokens
    published = DuoSimple(as_published=True)
    theirs = published.loss(uniform(published), text, DRAWS, 6)
    assert theirs.weight == tokens
    assert theirs.sum / theirs.weight < 0.2 * ours.sum / ours.weight  # κ at t ≤ 0.15 is small


def test_flow_matching_reads_the_posterior_of_either_output():
    """A leave-one-out output with the evidence of the present token costs what the posterior made of both does."""
    objective = FlowMatching(output="leave_one_out")
    loo = uniform(objective)
    assert objective.head == "leave_one_out"
    assert FlowMatching(output="posterior").head == "posterior"
    text = batch()
    found = objective.loss(loo, text, DRAWS, 6).sum
    noised = objective.times.noise(loo.process, text, DRAWS, 6, None, (1e-3, 1.0))
    p = loo.predict(noised, text, text.editable).posterior().exp().double()
    x, z, t = (v[text.editable] for v in (noised.x0, noised.state.ids, noised.t))
    row = torch.arange(len(x))
    expected = ((z == x).double() - p[row, z] - (z != x) * p[row, x].log()) / t
    assert found.item() == pytest.approx(expected.sum().item(), rel=1e-4)


@pytest.mark.parametrize("kind", ["duo", "duo-simple"])
@pytest.mark.parametrize(
    ("made", "message"),
    [
        ({"destination": "mask"}, "process.destination=uniform"),
        ({"destination": "mix"}, "process.destination=uniform"),
        ({"destination": "uniform", "block_length": 4}, "networks with blocks"),
        ({"destination": "uniform", "causal": True}, "causal"),
    ],
)
def test_where_soft_tokens_have_no_meaning(kind, made, message):
    objective = OBJECTIVES.load(kind)()
    with pytest.raises(UserError, match=message):
        objective.check(predictor(head=objective.head, **made))


def test_flow_matching_has_one_source():
    with pytest.raises(UserError, match="one source"):
        FlowMatching().check(predictor("mix", head=FlowMatching().head))


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("duo", {"curriculum": 1.5}, "a share of the training"),
        ("duo", {"temperature": 0.0}, "temperature must be positive"),
        ("duo-simple", {"top": 0}, "at least 1"),
        ("duo-simple", {"reverse": -1.0}, "not negative"),
        ("duo-simple", {"times": {"kind": "equal-count"}}, "equal-count"),
        ("flow-matching", {"floor": 1.0}, "floor"),
    ],
)
def test_bad_options(kind, options, message):
    with pytest.raises(UserError, match=message):
        read_component(OBJECTIVES, {"kind": kind, **options})


def test_neither_is_a_bound():
    """Nor is flow matching but over all times; the range of soft tokens depends on the vocabulary alone."""
    assert not Duo().is_bound
    assert not DuoSimple().is_bound
    assert not FlowMatching().is_bound
    assert FlowMatching(floor=0.0).is_bound
    assert operator(9).range == pytest.approx((-2.5, 2.6), abs=0.3)
