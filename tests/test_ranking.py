"""Orders that do not hang on rounding."""

import pytest
import torch

from undiffuse.ranking import NEAR, ordered, ranked

INFINITE = float("inf")


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.5, 0.5 + 2e-7, 0.9, 0.5 - 2e-7], [2, 0, 1, 3]),
        ([0.5, 0.5 + 3 * NEAR, 0.9], [2, 1, 0]),
        # each within the tolerance of the one before: one level, wherever a grid would have its lines
        ([1 - 1.5 * NEAR, 1 - 0.8 * NEAR, 1.0], [0, 1, 2]),
        ([-INFINITE, 0.0, INFINITE, -INFINITE, INFINITE], [2, 4, 1, 0, 3]),
    ],
)
def test_the_lowest_position_comes_first_among_near_equal_scores(scores, expected):
    score = torch.tensor([scores], dtype=torch.float64)
    assert ordered(score)[0].tolist() == expected
    assert ranked(score)[0].tolist() == [expected.index(place) for place in range(len(scores))]


def test_draws_are_equal_only_where_they_are():
    assert ordered(torch.tensor([[0.5, 0.5 + 2e-7, 0.5]]), near=0.0)[0].tolist() == [1, 0, 2]
