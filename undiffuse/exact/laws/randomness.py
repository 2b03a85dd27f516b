"""Keyed randomness: uniform numbers, integers, orders, and categorical draws with heavy tails."""

from collections.abc import Callable
from itertools import permutations

import torch

from ...randomness import Draws, draw_categorical
from ..instruments import even
from ..law import Law
from ..surprise import surprise

N = 200_000


def keys(seed: int = 0) -> Draws:
    return Draws.seeded(seed).at(torch.arange(N))


def uniform_surprise() -> float:
    return surprise((keys().uniform() * 1000).long(), even(1000))


def neighbor_surprise() -> float:
    """Consecutive keys, two streams of one key, and two seeds are independent: χ² of pairs on a 20 × 20 grid."""
    u = keys().uniform()
    others = (
        u.roll(1),
        keys().stream("a").uniform(),
        keys(1).uniform(),
        keys().at(1).uniform(),
        keys().along(2).uniform()[:, 1],
    )
    return max(surprise((u * 20).long() * 20 + (other * 20).long(), even(400)) for other in others)


def integer_surprise() -> float:
    return surprise(keys().integers(7), even(7))


def order_surprise() -> float:
    """All 24 orders of four positions are equally frequent."""
    orders = keys().along(4).order()
    code = (orders * 4 ** torch.arange(4)).sum(-1)
    number = torch.full((256,), -1)
    for place, order in enumerate(permutations(range(4))):
        number[sum(rank * 4**i for i, rank in enumerate(order))] = place
    return surprise(number[code], even(24))


def heavy_tail_surprise(dtype: torch.dtype) -> float:
    """V = 50,000 with half the mass on one token and half on 49,899 others; a hundred tokens are impossible."""
    size, impossible = 50_000, torch.arange(100, 200)
    p = torch.full((size,), 0.5 / (size - 101), dtype=torch.float64)
    p[12_345] = 0.5
    p[impossible] = 0.0
    drawn = torch.cat([draw_categorical(p.to(dtype).expand(1000, size), part) for part in _parts(20)])
    bins = drawn // 100
    mass = p.view(-1, 100).sum(-1)
    mass[123] -= 0.5
    drawn_bins = torch.where(drawn == 12_345, 500, bins)
    return surprise(drawn_bins, torch.cat([mass, torch.tensor([0.5], dtype=torch.float64)]))


def _parts(count: int) -> list[Draws]:
    return [Draws.seeded(5).at(part, torch.arange(1000)) for part in range(count)]


def lattice_error() -> float:
    """Against the inverse of the cumulated probabilities on a fine grid of u, at every size around a block of 64."""
    worst = 0
    for size in (1, 2, 63, 64, 65, 129):
        p = (3 * torch.special.ndtri(Draws.seeded(size).along(size).uniform())).softmax(-1)
        draws = Draws.seeded(8).at(torch.arange(5000))
        expected = (draws.uniform()[:, None] > p.cumsum(-1)[None]).sum(-1)
        worst = max(worst, int((draw_categorical(p.expand(5000, -1), draws) != expected).sum()))
    return float(worst)


def draws() -> dict[str, Callable[[], float]]:
    return {
        "uniform": uniform_surprise,
        "independence": neighbor_surprise,
        "integers": integer_surprise,
        "order": order_surprise,
        "categorical float32, V=50000": lambda: heavy_tail_surprise(torch.float32),
        "categorical float64, V=50000": lambda: heavy_tail_surprise(torch.float64),
    }


LAWS = (
    Law("randomness/chi-square", draws, lambda check: check(), 6.0),
    Law("randomness/inverse-cdf", lambda: {"categorical": lattice_error}, lambda check: check(), 0.0),
)
