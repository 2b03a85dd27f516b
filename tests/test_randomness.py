"""Keyed randomness: a number depends on its key and on nothing else. (Its distribution: laws `randomness/*`.)"""

import pytest
import torch

from undiffuse.randomness import Draws, draw_categorical


def test_numbers_do_not_depend_on_shape_order_or_company() -> None:
    one = Draws.seeded(3).at(torch.arange(100)).uniform()
    assert torch.equal(one, Draws.seeded(3).at(torch.arange(100).view(4, 25)).uniform().flatten())
    assert torch.equal(one.flip(0), Draws.seeded(3).at(torch.arange(99, -1, -1)).uniform())
    assert torch.equal(one[17:18], Draws.seeded(3).at(torch.tensor([17])).uniform())
    assert torch.equal(one, Draws.seeded(3).along(100).uniform())


def test_every_part_of_a_key_counts() -> None:
    base = Draws.seeded(3).stream("a").at(1, 2)
    others = [
        Draws.seeded(4).stream("a").at(1, 2),
        Draws.seeded(3).stream("b").at(1, 2),
        Draws.seeded(3).stream("a").at(2, 1),
        Draws.seeded(3).stream("a").at(1),
        Draws.seeded(3).at(1, 2).stream("a"),
    ]
    assert len({base.uniform().item(), *(draws.uniform().item() for draws in others)}) == 6


def test_a_recorded_number_comes_back() -> None:
    """Runs are resumed and results compared across versions and machines: the hash may not change."""
    assert Draws.seeded(-7).stream("noise").at(5).uniform().item() == 0.25927633292545377
    assert Draws.seeded(2**64 - 7).stream("noise").at(5).uniform().item() == 0.25927633292545377


def test_open_interval() -> None:
    u = Draws.seeded(0).at(torch.arange(1_000_000)).uniform()
    assert 0 < u.min() < 1e-5
    assert 1 > u.max() > 1 - 1e-5


def test_integers_reach_both_ends_with_a_bound_per_element() -> None:
    high = torch.tensor([1, 2, 5]).repeat(2000)
    drawn = Draws.seeded(1).at(torch.arange(6000)).integers(high)
    assert [set(drawn[high == k].tolist()) for k in (1, 2, 5)] == [{0}, {0, 1}, {0, 1, 2, 3, 4}]


@pytest.mark.parametrize("size", [1, 64, 65, 200])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_impossible_tokens_are_never_drawn(size: int, dtype: torch.dtype) -> None:
    """With one possible token anywhere, it is drawn for every u, also next to a block's edge."""
    for place in {0, size // 2, size - 1}:
        p = torch.zeros(500, size, dtype=dtype)
        p[:, place] = 1e-30
        assert (draw_categorical(p, Draws.seeded(2).at(torch.arange(500))) == place).all()


def test_no_rows_give_no_tokens() -> None:
    assert draw_categorical(torch.zeros(0, 100), Draws.seeded(0).at(torch.arange(0))).shape == (0,)


def test_rows_need_not_be_normalized() -> None:
    p = torch.rand(300, 70, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    draws = Draws.seeded(4).at(torch.arange(300))
    assert torch.equal(draw_categorical(p, draws), draw_categorical(p * 8, draws))
