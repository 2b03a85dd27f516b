"""Published tensors and the parameters that hold the same numbers."""

import pytest
import torch

from undiffuse.models.parts import Concatenated, Copied, Split, Stacked, Stacks


def rows(first: int, last: int) -> torch.Tensor:
    """Rows that hold their own number."""
    return torch.arange(first, last)[:, None].expand(-1, 3).clone()


@pytest.mark.parametrize(
    ("part", "tensors", "parameters"),
    [
        (Copied("a", "x"), [rows(0, 4)], [rows(0, 4)]),
        (Concatenated("a", ("x", "y", "z"), (2, 1, 3)), [rows(0, 2), rows(2, 3), rows(3, 6)], [rows(0, 6)]),
        (Split(("a", "b"), "x", (4, 1)), [rows(0, 5)], [rows(0, 4), rows(4, 5)]),
        (Stacked("a", ("x", "y")), [rows(0, 2), rows(2, 4)], [rows(0, 4).view(2, 2, 3)]),
        (
            Stacks("a", ("x", "y"), 2),  # gates of two experts, then what they gate
            [rows(0, 2).view(2, 1, 3), rows(2, 4).view(2, 1, 3)],
            [rows(0, 4)[[0, 2, 1, 3]]],
        ),
        (Stacks("a", ("x",), 2), [rows(0, 4).view(2, 2, 3)], [rows(0, 4)]),
    ],
)
def test_parts_hold_the_same_numbers_both_ways(part, tensors, parameters):
    assert part.shapes([value.shape for value in parameters]) == [tuple(value.shape) for value in tensors]
    assert (len(part.tensors), len(part.parameters)) == (len(tensors), len(parameters))
    for found, expected in ((part.read(tensors), parameters), (part.write(parameters), tensors)):
        assert len(found) == len(expected)
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
