"""Kinds of feed-forward layers: what all promise, and what experts do, against a loop over rows."""

import math
from dataclasses import replace
from typing import get_args

import pytest
import torch
from torch.nn import functional as F

from undiffuse.errors import UserError
from undiffuse.kinds import FEED_FORWARDS
from undiffuse.models.feed_forward.dense import Dense
from undiffuse.models.feed_forward.experts import Experts
from undiffuse.models.feed_forward.feed_forward import Activation
from undiffuse.models.feed_forward.sigmoid_experts import SigmoidExperts
from undiffuse.models.transformer import Transformer, TransformerConfig
from undiffuse.types import Rows, State, Tags

KINDS = {kind: FEED_FORWARDS.load(kind)() for kind in FEED_FORWARDS.kinds}
CONFIG = TransformerConfig(rows=17, width=16, depth=2, heads=2, context=8)
ACTIVATIONS = get_args(Activation)


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


def output(built, row, e: int, width: int = 10):
    """What one expert makes of a row of 6 numbers."""
    up, down = built.up.weight[width * e : width * (e + 1)], built.down.weight[6 * e : 6 * (e + 1)]
    return F.gelu(row @ up.T) @ down.T


def test_shares_of_a_softmax_over_all_leave_out_what_the_others_have():
    built, x = layer(Experts(5, 2, over="all")), rows(9)
    for row, value in zip(x.flatten(0, 1), built(x).flatten(0, 1), strict=True):
        odds = [float(row @ weight) for weight in built.router.weight]
        best, total = sorted(range(5), key=lambda e: -odds[e])[:2], sum(map(math.exp, odds))
        expected = sum(math.exp(odds[e]) / total * output(built, row, e) for e in best)
        torch.testing.assert_close(value, expected, atol=1e-12, rtol=0)


def test_sigmoid_experts_are_chosen_with_preferences_in_the_best_groups_and_count_without():
    """Row by row in plain Python, from the rule as DeepSeek-V3 and LLaDA2 state it."""
    built, x = layer(SigmoidExperts(12, 3, groups=4, open_groups=2, scale=2.5)), rows(9)
    without = 0
    for row, value in zip(x.flatten(0, 1), built(x).flatten(0, 1), strict=True):
        score = [1 / (1 + math.exp(-float(row @ weight))) for weight in built.router.weight]
        liked = [s + float(b) for s, b in zip(score, built.router.preference, strict=True)]
        groups = [sorted(range(3 * g, 3 * g + 3), key=lambda e: -liked[e]) for g in range(4)]
        open_ = sorted(groups, key=lambda g: -(liked[g[0]] + liked[g[1]]))[:2]
        best = sorted((e for g in open_ for e in g), key=lambda e: -liked[e])[:3]
        without += set(best) != set(sorted(range(12), key=lambda e: -liked[e])[:3])
        total = sum(score[e] for e in best)
        expected = sum(2.5 * score[e] / total * output(built, row, e) for e in best)
        torch.testing.assert_close(value, expected, atol=1e-12, rtol=0)
    assert without > 3


@pytest.mark.parametrize("kind", [Experts(4, 2, shared=2), SigmoidExperts(4, 2, shared=2)], ids=str)
def test_every_row_runs_the_shared_expert(kind):
    built, x = layer(kind, "swiglu"), rows(5)
    assert built.shared.down.weight.shape == (6, 20)
    alone = built(x)
    shared = built.shared
    built.shared = None
    torch.testing.assert_close(alone, built(x) + shared(x), atol=1e-12, rtol=0)


def test_experts_have_an_inner_width_of_their_own_and_the_first_layers_may_be_dense():
    network = Transformer(replace(CONFIG, feed_forward=Experts(4, 2, inner=6), dense_layers=1))
    first, second = (block.feed_forward for block in network.blocks)
    assert first.up.weight.shape == (64, 16)
    assert second.up.weight.shape == (4 * 6, 16)


def test_experts_without_a_row_do_not_run(monkeypatch):
    built, run = layer(Experts(64, 2)), []
    real = F.linear
    monkeypatch.setattr(F, "linear", lambda x, *more: run.append(len(x)) or real(x, *more))
    built(rows(2))
    assert 0 not in run
    assert len(run) <= 1 + 2 * 2 * 4  # the router, and two matrices of at most two experts for each of four rows


def test_the_router_computes_in_float32():
    """In bfloat16 two experts would be equal that are not."""
    built = layer(Experts(2, 1)).bfloat16()
    built.router.weight.copy_(torch.tensor([[1.0, 1.0, 0, 0, 0, 0], [1.0, 0, 0, 0, 0, 0]]))
    x = torch.tensor([[256.0, 0.5, 0, 0, 0, 0]], dtype=torch.bfloat16)
    assert built.router(x)[0].tolist() == [[0]]


@pytest.mark.parametrize(
    ("kind", "numbers", "said"),
    [
        (SigmoidExperts, {"experts": 8, "groups": 3}, "8 experts cannot lie in 3 equal groups"),
        (SigmoidExperts, {"experts": 8, "groups": 4, "open_groups": 5}, "of which a row uses 5"),
        (SigmoidExperts, {"experts": 8, "groups": 8, "open_groups": 4}, "scores by its two best, and has one expert"),
        (SigmoidExperts, {"experts": 8, "chosen": 4, "groups": 4, "open_groups": 1}, "1 groups of 2 experts do not"),
        (SigmoidExperts, {"scale": 0.0}, "scale must be positive, not 0.0"),
        (SigmoidExperts, {"experts": 2, "chosen": 3}, "a row runs 1 to 2 of 2 experts, not 3"),
        (Experts, {"shared": -1}, "must not be negative"),
        (Experts, {"over": "some"}, r"over must be 'chosen' or 'all', not 'some'"),
    ],
)
def test_mixtures_that_cannot_be(kind, numbers, said):
    with pytest.raises(UserError, match=said):
        kind(**numbers)
