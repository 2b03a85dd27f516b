"""The two backends and the rotary turn against plain formulas."""

import pytest
import torch

from undiffuse.models.attention import attend, attend_by_matmul, attend_fused
from undiffuse.models.feed_forward.feed_forward import SquaredReLU
from undiffuse.models.rotary import Angles, rotate


def heads(groups, lq=5, lk=7, dtype=torch.float64):
    g = torch.Generator().manual_seed(2)
    make = lambda *shape: torch.randn(shape, generator=g, dtype=dtype)  # noqa: E731
    return make(2, 4, lq, 6), make(2, groups, lk, 6), make(2, groups, lk, 6)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("masked", [False, True])
def test_both_backends_are_softmax_attention_head_by_head(groups, masked):
    q, k, v = heads(groups)
    allowed = torch.rand(2, 1, 5, 7, generator=torch.Generator().manual_seed(3)) < (0.6 if masked else 2.0)
    allowed[..., 0] = True
    bias = torch.where(allowed, 0.0, -1e30).double() if masked else None
    want = torch.empty_like(q)
    for row in range(2):
        for head in range(4):
            group = head * groups // 4
            for query in range(5):
                keys = [j for j in range(7) if allowed[row, 0, query, j]]
                weight = torch.tensor([(q[row, head, query] * k[row, group, j]).sum() / 6**0.5 for j in keys]).exp()
                weight = weight.double() / weight.double().sum()
                want[row, head, query] = sum(w * v[row, group, j] for w, j in zip(weight, keys, strict=True))
    for backend in (attend_by_matmul, attend_fused, attend):
        torch.testing.assert_close(backend(q, k, v, bias), want, atol=1e-6, rtol=1e-6)


def test_bfloat16_on_a_cpu_stays_near_float64():
    q, k, v = heads(2)
    want = attend_fused(q, k, v, None)
    got = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), None)
    assert got.dtype == torch.bfloat16
    assert (got.double() - want).abs().max() < 0.05


def test_a_turn_is_a_rotation_of_the_complex_plane_and_its_gradient_is_exact():
    x = torch.randn(2, 3, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    positions = torch.tensor([[0, 1, 2, 70, 5000], [3, 3, 9, 0, 11]])
    angles = Angles.at(positions, 8, 100.0, torch.float64)
    speed = 100.0 ** (-torch.arange(4) / 4.0).double()
    turn = torch.polar(torch.ones(2, 1, 5, 4, dtype=torch.float64), positions[:, None, :, None] * speed)
    want = torch.complex(x[..., :4], x[..., 4:]) * turn
    torch.testing.assert_close(rotate(x, angles), torch.cat((want.real, want.imag), dim=-1))
    assert torch.autograd.gradcheck(lambda x: rotate(x, angles), (x,))


def test_squared_relu_has_its_own_gradient_right():
    x = torch.tensor([-1.5, -0.1, 0.2, 3.0], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(SquaredReLU.apply(x), torch.tensor([0.0, 0.0, 0.04, 9.0], dtype=torch.float64))
    assert torch.autograd.gradcheck(SquaredReLU.apply, (x,))
