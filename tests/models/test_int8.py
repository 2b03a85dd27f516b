"""Weights in eight bits: as near as they can be, and used as the matrix that they stand for."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from undiffuse.models.int8 import FEW, Int8, storage_of


def narrowed(weight: torch.Tensor, dtype: torch.dtype = torch.bfloat16) -> Int8:
    found = Int8.empty(weight.shape, dtype)
    found.copy_(weight)
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_number_is_the_nearest_of_its_row(dtype):
    weight = (torch.randn(70, 33) * torch.logspace(-6, 3, 70)[:, None]).to(dtype)
    weight[3] = 0
    found = narrowed(weight, torch.float32)
    scale = weight.float().abs().amax(1, keepdim=True) / 127
    assert ((found.wide() - weight).abs() <= 0.5001 * scale).all()
    assert found.numbers.abs().amax(1).tolist() == [0 if row == 3 else 127 for row in range(70)]
    assert found.wide()[3].abs().max() == 0
    assert (found.scales > 0).all()
    assert found.shape == weight.shape
    assert found.dtype == torch.float32


def test_what_is_not_a_number_stays_visible():
    weight = torch.ones(2, 4)
    weight[0, 1] = torch.nan
    found = F.linear(torch.ones(1, 4, dtype=torch.bfloat16), narrowed(weight))
    assert found.isnan().tolist() == [[True, False]]


@pytest.mark.parametrize("rows", [1, FEW, FEW + 1, 40])
@pytest.mark.parametrize("shape", [(48, 64), (70, 33)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_product_rounds_as_one_in_bfloat16_does(rows, shape, bias, monkeypatch):
    monkeypatch.setattr("undiffuse.models.int8.PIECE", 400)
    torch.manual_seed(rows)
    narrow = narrowed(torch.randn(shape))
    x = torch.randn(2, rows, shape[1]).bfloat16()[: 1 if rows <= FEW else 2]
    b = torch.randn(shape[0]).bfloat16() if bias else None
    exact = F.linear(x.double(), (narrow.numbers * narrow.scales[:, None]).double(), b if b is None else b.double())
    found = F.linear(x, narrow, b)
    assert found.dtype == torch.bfloat16
    sums = F.linear(x.double().abs(), (narrow.numbers.abs() * narrow.scales[:, None]).double())
    unit = 2.0**-8  # of bfloat16: once for the product, once for its scaling, and once for the bias
    rounding = (2.01 + bias) * unit * (exact.abs() + bias * (sums + b.abs() if bias else 0)) + 2.0**-24 * shape[
        1
    ] * sums
    assert ((found.double() - exact).abs() <= rounding).all()


def test_modules_take_it():
    weight = torch.randn(12, 8)
    plain, table = nn.Linear(8, 12, bias=False), nn.Embedding(12, 8)
    narrow = narrowed(weight)
    for module in (plain, table):
        module.load_state_dict({"weight": narrow}, assign=True)
        module.requires_grad_(False)
        assert isinstance(module.weight, Int8)
        assert isinstance(module.weight, nn.Parameter)
        assert storage_of(module.weight) == storage_of(narrow)
    ids = torch.tensor([[3, 0, 11]])
    assert torch.equal(table(ids), narrow.wide()[ids])
    x = torch.randn(5, 8).bfloat16()
    assert torch.equal(plain(x), F.linear(x, narrow))
    assert plain.weight.new_zeros(3).dtype == torch.bfloat16
    assert type(plain.weight.new_zeros(3)) is torch.Tensor


def test_parts_along_the_first_axis_are_views():
    weight = torch.randn(12, 6)
    narrow = narrowed(weight)
    wide = narrow.wide()
    for parts in (narrow.split((5, 7)), narrow.chunk(3), [narrow[4:]]):
        assert all(isinstance(part, Int8) and storage_of(part) == storage_of(narrow) for part in parts)
    assert torch.equal(narrow[4:].wide(), wide[4:])
    assert torch.equal(torch.cat([part.wide() for part in narrow.chunk(3)]), wide)
    stacked = narrowed(torch.randn(3, 4, 5))
    assert torch.equal(stacked.unbind()[2].wide(), stacked.wide()[2])
    filled = Int8.empty((12, 6), torch.bfloat16)
    for place, piece in zip(filled.split((5, 7)), weight.split((5, 7)), strict=True):
        place.copy_(piece)
    assert torch.equal(filled.numbers, narrow.numbers)
    assert torch.equal(filled.scales, narrow.scales)


def test_anything_else_widens():
    narrow = narrowed(torch.randn(4, 6))
    assert type(narrow.float()) is torch.Tensor
    assert torch.equal(narrow.float(), narrow.wide().float())
    assert torch.equal(narrow + 1, narrow.wide() + 1)
    assert torch.equal(narrow[:, 2:], narrow.wide()[:, 2:])
    assert torch.equal(narrow.T, narrow.wide().T)
