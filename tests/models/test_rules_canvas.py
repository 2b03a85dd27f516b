"""The rule of canvases after a text, against the sentence that states it."""

from itertools import product

import torch

from undiffuse.models import rules
from undiffuse.types import Tags


def sees(clean, position, other_clean, other, origin, span):
    """Read from the left: what is at or before; denoised: its own canvas, and all clean text before that begins."""
    if clean:
        return other_clean and other <= position
    block = (position - origin) // span
    if other_clean:
        return other < origin + block * span
    return (other - origin) // span == block


def test_what_each_row_sees():
    """Clean and noisy rows of positions 0 to 10, two texts whose canvases of 3 begin at 4 and at 0."""
    position = torch.tensor([[*range(11), *range(11)]]).expand(2, -1)
    clean = torch.tensor([[True] * 11 + [False] * 11]).expand(2, -1)
    live = torch.ones_like(clean)
    live[1, 5] = False
    origin, span = torch.tensor([4, 0]), torch.tensor([3, 3])
    tags = Tags(position, live=live, clean=clean, span=span, origin=origin)
    found = rules.canvas(tags, tags)
    for row, query, key in product(range(2), range(22), range(22)):
        expected = live[row, key] and sees(
            clean[row, query],
            int(position[row, query]),
            clean[row, key],
            int(position[row, key]),
            int(origin[row]),
            int(span[row]),
        )
        assert found[row, query, key] == expected, (row, query, key)


def test_without_an_origin_blocks_are_counted_from_position_0():
    position = torch.arange(7)[None]
    tags = Tags(position, clean=position < 3, span=torch.tensor([3]))
    same = Tags(position, clean=position < 3, span=torch.tensor([3]), origin=torch.tensor([0]))
    assert torch.equal(rules.canvas(tags, tags), rules.canvas(same, same))
    assert rules.block_of(tags).tolist() == [[0, 0, 0, 1, 1, 1, 2]]
    assert rules.begin_of(tags).tolist() == [[0, 0, 0, 3, 3, 3, 6]]
