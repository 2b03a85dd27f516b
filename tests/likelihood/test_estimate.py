"""Errors and intervals of an estimate, by hand."""

import math

import pytest
import torch
from scipy import stats

from undiffuse.likelihood.estimate import Estimate


def estimate(drawn: list[list[float]], parts: list[int], passes: int = 1, tokens: int = 1) -> Estimate:
    diffusion = torch.tensor(drawn, dtype=torch.float64)
    rows = diffusion.shape[1]
    return Estimate(
        diffusion=diffusion,
        ends=torch.zeros_like(diffusion),
        prior_by_row=torch.zeros(rows, dtype=torch.float64),
        parts=torch.tensor(parts),
        levels=torch.ones(rows, dtype=torch.long),
        tokens=tokens,
        passes=passes,
        kind="bound",
        per_token=torch.zeros(tokens, dtype=torch.float64),
    )


FEW = [[3.0, 5.0, 9.0, 2.0], [5.0, 5.0, 5.0, 4.0]]


def test_the_variance_is_that_of_the_independent_parts():
    """Two repetitions of three parts (8 and 10, 9 and 5, 2 and 4): variances of the means 1, 4 and 1."""
    found = estimate(FEW, [0, 0, 1, 2], passes=8, tokens=4)
    assert found.nats == pytest.approx(19)
    assert found.stderr == pytest.approx(math.sqrt(6))
    assert found.of_rows(0, 1) == (4.0, math.inf)  # one degree of freedom
    degrees = 36 * 3 / 18 - 2  # 4, and at most 3
    assert degrees > 3
    factor = math.exp(stats.t.ppf(0.975, 3) * math.sqrt(6) / 19)
    assert found.interval == pytest.approx((19 / factor, 19 * factor), rel=1e-3)
    expected = [math.exp(nats / 4) for nats in (19, 19 / factor, 19 * factor)]
    assert found.perplexity == pytest.approx(expected, rel=2e-3)


def test_a_part_that_alone_varies_counts_as_one():
    """Its variance has one degree of freedom, however many others there are: t is 12.7."""
    found = estimate([[3.0, 5.0, 9.0, 2.0], [7.0, 5.0, 9.0, 2.0]], [0, 1, 2, 3], passes=8)
    assert found.interval[1] / found.nats == pytest.approx(math.exp(12.706 * 2 / 21), rel=1e-3)


@pytest.mark.parametrize(("parts", "passes"), [([0, 0, 0, 0], 8), ([0, 1, 2, 3], 1)], ids=["degrees", "levels"])
def test_nothing_is_stated_from_too_few(parts, passes):
    found = estimate(FEW, parts, passes)
    assert found.stderr == math.inf
    assert found.interval == (0.0, math.inf)
    value, low, high = found.perplexity
    assert value == pytest.approx(math.exp(19))
    assert math.isnan(low)
    assert math.isnan(high)


def test_the_perplexity_of_a_text_is_at_least_one():
    """However wide the interval is."""
    found = estimate([[0.01], [0.02], [0.01], [9.0]], [0], passes=16)
    value, low, high = found.perplexity
    assert 1 < low < value < high


def test_what_never_varies_has_no_error():
    found = estimate([[2.0, 3.0]] * 8, [0, 0], passes=4)
    assert (found.stderr, found.interval) == (0.0, (5.0, 5.0))


def test_draws_that_come_out_at_nothing_have_every_interval():
    assert estimate([[0.0]], [0]).interval == (0.0, math.inf)
    assert estimate([[1.0], [-1.0]], [0]).interval == (0.0, math.inf)
