"""Kinds of feed-forward layers: what all promise, and what experts do, against a loop over rows."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from undiffuse.errors import UserError
from undiffuse.kinds import FEED_FORWARDS
from undiffuse.models.feed_forward.dense import Dense
from undiffuse.models.feed_forward.experts import Experts
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.types import Rows, State, Tags

KINDS = {kind: FEED_FORWARDS.load(kind)() for kind in FEED_FORWARDS.kinds}
CONFIG = TransformerConfig(rows=17, width=16, depth=2, heads=2, context=8)
ACTIVATIONS = ("gelu", "relu2", "swiglu")


def layer(kind, activation="gelu"):
    torch.manual_seed(0)
    built = kind.build(6, 10, activation).double()
    for weight in built.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    return built.requires_grad_(False)


def rows(count: int) -> torch.Tensor:
    return torch.randn(2, count, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_rows_do_not_know_of_each_other(kind, activation):
    built, x = layer(KINDS[kind], activation), rows(5)
    alone = torch.stack([built(x[:, i]) for i in range(5)], dim=1)
    torch.testing.assert_close(built(x), alone, atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_layer_adds_nothing_and_learns(kind):
    built = KINDS[kind].build(6, 10, "swiglu")
    built.initialize(0.4)
    x = rows(5).float()
    assert not built(x).any()
    built(x).sum().backward()
    assert built.matrices[-1][0].grad.abs().sum() > 0


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_matrix_is_named_with_the_maps_in_it(kind, activation):
    for weight, heights in layer(KINDS[kind], activation).matrices:
        assert sum(heights) == len(weight)
        assert set(heights) <= {6, 10}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_equal_experts_that_all_run_are_the_dense_layer(activation):
    dense, experts = layer(Dense(), activation), layer(Experts(4, 4), activation)
    for name in ("up", "down"):
        getattr(experts, name).weight.copy_(getattr(dense, name).weight.repeat(4, 1))
    torch.testing.assert_close(experts(rows(7)), dense(rows(7)), atol=1e-12, rtol=0)


def test_each_row_takes_the_mixture_of_its_best_experts():
    built, x = layer(Experts(5, 2)), rows(9)
    found = built(x)
    for row, value in zip(x.flatten(0, 1), found.flatten(0, 1), strict=True):
        odds = [float(row @ weight) for weight in built.router.weight]
        best = sorted(range(5), key=lambda e: -odds[e])[:2]
        total = sum(math.exp(odds[e]) for e in best)
        expected = sum(
            math.exp(odds[e])
            / total
            * (F.gelu(row @ built.up.weight[10 * e : 10 * e + 10].T) @ built.down.weight[6 * e : 6 * e + 6].T)
            for e in best
        )
        torch.testing.assert_close(value, expected, atol=1e-12, rtol=0)


def test_experts_that_no_row_chooses_and_rows_that_are_none():
    built = layer(Experts(8, 1))
    assert built(rows(1)).shape == (2, 1, 6)
    assert built(rows(1)[:, :0]).shape == (2, 0, 6)


def test_a_trunk_runs_experts():
    network = Transformer(replace(CONFIG, feed_forward=Experts(4, 2)))
    assert network.blocks[0].feed_forward.up.weight.shape == (4 * 64, 16)
    tags = Tags(torch.arange(5)[None])
    assert network.trunk(Rows(State(torch.arange(5)[None]), tags)).isfinite().all()


def test_a_row_cannot_run_more_experts_than_there_are():
    with pytest.raises(UserError, match=r"a row runs 1 to 2 of 2 experts, not 3"):
        Experts(2, 3)
