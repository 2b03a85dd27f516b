"""A weight multiplies what a row or a token adds to the loss, whatever the objective."""

from dataclasses import replace

import pytest
import torch

from undiffuse.kinds import OBJECTIVES, kind_of
from undiffuse.randomness import Draws
from undiffuse.training.assembly import Rows, network_of, predictor_of
from undiffuse.training.plan import Size, sized
from undiffuse.training.recipe import recipes, resolve
from undiffuse.types import Batch

ROWS, LENGTH = 4, 8
SIZE = Size(width=16, depth=1, heads=2, context=LENGTH, rows=ROWS)
RECIPES = {kind_of(resolve(name).configuration.objective): name for name in recipes()}
OTHERS = {"clipped": "block", "concrete-score": "sedd-absorb", "cross-entropy": "default"}
"""Recipes that another objective can be set in."""


@pytest.fixture(params=OBJECTIVES.kinds)
def setting(request):
    """An objective with a network for it, none of whose weights is zero, and a batch."""
    kind = request.param
    recipe, other = (RECIPES[kind], []) if kind in RECIPES else (OTHERS[kind], [f"objective={kind}"])
    settings = resolve(recipe, [*other, "training.dtype=float32", "model.dropout=0.0"])
    configuration = sized(settings.configuration, SIZE)
    tokenizer = Rows.expected(configuration.tokenizer)
    network = network_of(configuration, tokenizer, 0).double()
    torch.manual_seed(1)
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    ids = torch.randint(0, 200, (ROWS, LENGTH))
    every, row = torch.ones_like(ids, dtype=torch.bool), torch.arange(ROWS)
    every = every & (torch.arange(LENGTH) > 0)
    batch = Batch(ids, every, torch.ones_like(every), torch.arange(LENGTH).expand_as(ids), row, 0 * row, row)
    return configuration.objective, predictor_of(configuration, tokenizer, network), batch


def gradients(setting, batch):
    objective, predictor, _ = setting
    parameters = list(predictor.denoiser.parameters())
    loss = objective.loss(predictor, batch, Draws.seeded(2).stream("training").at(3), ROWS)
    found = torch.autograd.grad(loss.sum, parameters, allow_unused=True)
    return loss, [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


def same(one, other, rtol=1e-6):
    for name in ("sum", "weight", "bucket_nats", "bucket_tokens"):
        a, b = (getattr(loss, name).detach() for loss in (one[0], other[0]))
        torch.testing.assert_close(a, b, rtol=rtol, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}")
    for a, b in zip(one[1], other[1], strict=True):
        torch.testing.assert_close(a, b, rtol=rtol, atol=1e-9)


def test_weight_two_is_a_doubled_row_and_weight_zero_is_none(setting):
    batch = setting[2]
    weighed = replace(batch, weight=torch.tensor([1.0, 0.0, 2.0, 1.0])[:, None])
    same(gradients(setting, weighed), gradients(setting, batch.rows([0, 2, 2, 3])))


def test_a_row_of_weight_zero_has_no_gradient(setting):
    alone = setting[2].rows([1])
    loss, found = gradients(setting, replace(alone, weight=torch.zeros(1, 1)))
    assert loss.weight == 0
    assert not any(gradient.any() for gradient in found)


def test_weights_of_one_change_nothing_and_those_of_tokens_may_differ(setting):
    batch = setting[2]
    same(gradients(setting, replace(batch, weight=torch.ones(ROWS, LENGTH))), gradients(setting, batch), rtol=1e-12)
    rows = torch.tensor([0.5, 1.0, 3.0, 0.0])[:, None]
    as_tokens = replace(batch, weight=rows.expand(ROWS, LENGTH).clone())
    same(gradients(setting, as_tokens), gradients(setting, replace(batch, weight=rows)), rtol=1e-12)


def test_a_negative_weight_is_an_opposite_gradient_that_counts_as_much(setting):
    batch = setting[2]
    against = gradients(setting, replace(batch, weight=torch.full((ROWS, 1), -1.0)))
    plain = gradients(setting, batch)
    assert against[0].weight == plain[0].weight
    torch.testing.assert_close(against[0].sum, -plain[0].sum)
