"""Scaled rotary positions against their formulas, pair by pair in plain Python, and numbers of transformers 5.24."""

import math

import pytest
import torch

from undiffuse.errors import UserError
from undiffuse.kinds import STRETCHES, describe
from undiffuse.models.rotary import Angles
from undiffuse.models.stretches.linear import Linear
from undiffuse.models.stretches.llama3 import Llama3
from undiffuse.models.stretches.none import Unstretched
from undiffuse.models.stretches.yarn import Yarn
from undiffuse.models.transformer import TransformerConfig

BASE, SIZE = 10_000.0, 16
PACE = torch.tensor([BASE ** (-2 * pair / SIZE) for pair in range(SIZE // 2)], dtype=torch.float64)


def llama3(pace: float, factor: float, low: float, high: float, context: int) -> float:
    """As the authors' code has it: by wavelengths."""
    wave = 2 * math.pi / pace
    if wave < context / high:
        return pace
    if wave > context / low:
        return pace / factor
    smooth = (context / wave - low) / (high - low)
    return (1 - smooth) * pace / factor + smooth * pace


def yarn(number: int, factor: float, context: int, fast: float, slow: float) -> float:
    def pair(turns: float) -> float:
        return SIZE * math.log(context / (turns * 2 * math.pi)) / (2 * math.log(BASE))

    first, last = max(math.floor(pair(fast)), 0), min(math.ceil(pair(slow)), SIZE - 1)
    share = min(max((number - first) / (last - first or 0.001), 0.0), 1.0)
    pace = PACE[number].item()
    return pace / factor * share + pace * (1 - share)


LLAMA3 = [1.0, 0.31622776, 0.1, 0.0066131069, 0.00125, 0.00039528473, 0.000125, 3.9528473e-05]
YARN = [1.0, 0.25693506, 0.0625, 0.0138349654, 0.0025, 0.00079056947, 0.00025, 7.9056947e-05]


@pytest.mark.parametrize("numbers", [(8.0, 1.0, 4.0, 8192), (32.0, 1.0, 4.0, 64), (2.0, 0.5, 8.0, 256)], ids=str)
def test_llama3(numbers):
    expected = [llama3(pace, *numbers) for pace in PACE.tolist()]
    assert Llama3(*numbers).slowed(PACE, BASE).tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("numbers", [(4.0, 32768, 32.0, 1.0), (2.0, 64, 8.0, 2.0), (8.0, 16, 32.0, 1.0)], ids=str)
def test_yarn(numbers):
    expected = [yarn(number, *numbers) for number in range(SIZE // 2)]
    assert Yarn(*numbers).slowed(PACE, BASE).tolist() == pytest.approx(expected, rel=1e-12)


def test_numbers_of_transformers():
    """Paces of heads of 16 with base 10000, made by its own functions in float32."""
    found = Llama3(8.0, 1.0, 4.0, 256).slowed(PACE, BASE).tolist()
    assert found == pytest.approx(LLAMA3, rel=1e-6)
    found = Yarn(4.0, 256, 32.0, 1.0)
    assert found.slowed(PACE, BASE).tolist() == pytest.approx(YARN, rel=1e-6)
    assert found.temper == pytest.approx(1.138629436111989, rel=1e-12)


def test_a_slower_pace_is_a_shorter_way():
    positions = torch.arange(6)[None]
    slow = Angles.at(positions * 3, SIZE, BASE, torch.float64, Linear(3.0))
    own = Angles.at(positions, SIZE, BASE, torch.float64)
    assert torch.allclose(slow.cos, own.cos, rtol=0, atol=1e-12)
    sharp = Angles.at(positions, SIZE, BASE, torch.float64, Yarn(1.0, 64, sharpness=1.5))
    assert torch.allclose(sharp.cos, 1.5 * own.cos, rtol=0, atol=1e-12)
    assert torch.allclose(sharp.sin, 1.5 * own.sin, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", STRETCHES.kinds)
def test_every_kind_comes_back_from_its_description(kind):
    made = STRETCHES.load(kind)()
    assert STRETCHES.build(describe(made)) == made


def test_networks_turn_at_their_own_pace_unless_told():
    assert TransformerConfig(rows=4).stretch == Unstretched()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Linear(0.5), "stretch 'linear': factor must be 1 or more, not 0.5"),
        (lambda: Llama3(low=4.0, high=1.0), "needs 0 < low < high, not low 4.0 and high 1.0"),
        (lambda: Llama3(first_context=0), "first_context must be at least 1, not 0"),
        (lambda: Yarn(fast=1.0, slow=2.0), "needs 0 < slow < fast, not slow 2.0 and fast 1.0"),
        (lambda: Yarn(sharpness=-1.0), "sharpness must not be negative, not -1.0"),
    ],
)
def test_numbers_that_cannot_be(make, said):
    with pytest.raises(UserError, match=said):
        make()
