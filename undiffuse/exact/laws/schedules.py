"""Noise schedules and destinations: derivatives, inverses, integrals, and the curves as published."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ...process.destinations.destination import Destination
from ...process.destinations.growing_mask import GrowingMask
from ...process.schedules.gidd import Gidd
from ...process.schedules.schedule import Schedule
from ..catalog import destinations, schedules
from ..expectation import integral
from ..instruments import gap
from ..law import LAST_DIGIT, Law, in_last_digits

GRID = torch.linspace(0.0, 1.0, 203, dtype=torch.float64)[1:-1]

# The curves as their papers print them, and the bound's weight at t = .01, .5, .99 computed independently
PUBLISHED: dict[str, Callable[[float], float]] = {
    "one-minus-t": lambda t: 1 - t,
    "affine": lambda t: 1 - (1 - 1e-3) * t,
    "one-minus-cos": lambda t: 1 - math.cos(math.pi * (1 - t) / 2),
    "cos": lambda t: math.cos(math.pi * t / 2),
    "polynomial": lambda t: 1 - t**2,
    "polynomial power=0.5": lambda t: 1 - math.sqrt(t),
    "geometric": lambda t: math.exp(-(1e-4 ** (1 - t)) * 20**t),
    "gidd": lambda t: (1 - t) / (1 + 0.5 * math.sqrt(t * (1 - t))),
    "gidd uniform_share=0.4 shape=2": lambda t: (1 - t) / (1 + 8 / 3 * t * (1 - t)),
}
WEIGHTS = {
    "one-minus-t": ("100", "2", "1.01"),
    "one-minus-cos": ("99.99", "1.571", "0.025"),
    "cos": ("200.0", "3.792", "1.596"),
    "polynomial": ("200", "4", "2.02"),
    "geometric": ("12.2", "11.9", "0"),
}


def published() -> dict[str, tuple[Schedule, Callable[[float], float]]]:
    return {name: (schedule, PUBLISHED[name]) for name, schedule in schedules().items() if name in PUBLISHED}


def curve_error(case: tuple[Schedule, Callable[[float], float]]) -> float:
    schedule, formula = case
    expected = torch.tensor([formula(t) for t in GRID.tolist()], dtype=torch.float64)
    return gap(schedule.alpha(GRID), expected)


def golden_weights() -> dict[str, tuple[Schedule, tuple[str, ...]]]:
    return {name: (schedules()[name], weights) for name, weights in WEIGHTS.items()}


def weight_error(case: tuple[Schedule, tuple[str, ...]]) -> float:
    """In units of the last printed digit."""
    schedule, printed = case
    found = schedule.weight(torch.tensor([0.01, 0.5, 0.99], dtype=torch.float64)).tolist()
    return max(in_last_digits(value, text) for value, text in zip(found, printed, strict=True))


def derivative_error(schedule: Schedule) -> float:
    """Against automatic differentiation of α, relative to the slope."""
    slope = _derivative(schedule.alpha)
    return gap(schedule.derivative(GRID) / slope, torch.ones_like(slope))


def complement_error(schedule: Schedule) -> float:
    return gap(schedule.alpha(GRID) + schedule.one_minus_alpha(GRID), torch.ones_like(GRID))


def weight_definition_error(schedule: Schedule) -> float:
    """w(1 − α) = −α'."""
    return gap(schedule.weight(GRID) * (1 - schedule.alpha(GRID)), -_derivative(schedule.alpha))


def integral_error(schedule: Schedule) -> float:
    start, end = schedule.ends
    found = integral(lambda t: schedule.weight(t) * schedule.one_minus_alpha(t))
    return abs(found - (start - end))


def inverse_error(schedule: Schedule) -> float:
    """In the value of α: where the curve is flat, t itself is not determined."""
    return gap(schedule.alpha(schedule.inverse(schedule.alpha(GRID))), schedule.alpha(GRID))


def shares_error(destination: Destination) -> float:
    ends = torch.tensor([0.0, 1.0], dtype=torch.float64)
    t = torch.cat([GRID, ends])
    share = destination.share(t)
    wrong_flag = float(destination.uniform != bool((share > 0).any()) or destination.mask != bool((share < 1).any()))
    return max(gap(share + destination.mask_share(t), torch.ones_like(t)), wrong_flag)


def share_derivative_error(destination: Destination) -> float:
    pairs = (
        (destination.share, destination.log_share_derivative),
        (destination.mask_share, destination.log_mask_share_derivative),
    )
    worst = 0.0
    for share, log_derivative in pairs:
        if (share(GRID) > 0).all():
            worst = max(worst, gap(log_derivative(GRID) * share(GRID), _derivative(share)))
    return worst


def growing_share_error(destination: GrowingMask) -> float:
    """With its own schedule uniform tokens are `uniform_share` of all at t = ½; of noise all at 0, none at 1."""
    half = torch.tensor([0.5], dtype=torch.float64)
    corrupted = Gidd(destination.uniform_share, destination.shape).one_minus_alpha(half)
    share = destination.share(half) * corrupted
    ends = destination.share(torch.tensor([0.0, 1.0], dtype=torch.float64))
    return max(abs(share.item() - destination.uniform_share), gap(ends, torch.tensor([1.0, 0.0], dtype=torch.float64)))


def growing() -> dict[str, GrowingMask]:
    return {f"growing-mask p={p} shape={g}": GrowingMask(p, g) for p in (0.05, 0.2, 0.6) for g in (1.0, 1.5)}


def _derivative(curve: Callable[[Tensor], Tensor]) -> Tensor:
    t = GRID.clone().requires_grad_()
    value = curve(t).sum()
    if not value.requires_grad:
        return torch.zeros_like(GRID)
    return torch.autograd.grad(value, t)[0]


LAWS = (
    Law("schedule/published-curve", published, curve_error, 1e-14),
    Law("schedule/golden-weights", golden_weights, weight_error, LAST_DIGIT),
    Law("schedule/derivative", schedules, derivative_error, 1e-9),
    Law("schedule/complement", schedules, complement_error, 1e-14),
    Law("schedule/weight", schedules, weight_definition_error, 1e-10),
    Law("schedule/integral", schedules, integral_error, 1e-10),
    Law("schedule/inverse", schedules, inverse_error, 1e-13),
    # 9 u: numbers up to 1, of a power known to 2 u and up to 4 operations more, on either side
    Law("destination/shares", destinations, shares_error, 1e-15),
    Law("destination/derivatives", destinations, share_derivative_error, 1e-9),
    Law("destination/growing-share", growing, growing_share_error, 1e-14),
)
