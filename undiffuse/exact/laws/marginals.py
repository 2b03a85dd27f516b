"""Forward noise: the marginal tables, the transitions between them, and what corruption really draws."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from ...process.interpolating import Interpolating
from ...randomness import Draws
from ...types import State
from ..catalog import golden, processes
from ..instruments import gap
from ..law import Law
from ..noise import Noise
from ..surprise import surprise
from ..world import World, world

TIMES = torch.tensor([0.03, 0.2, 0.5, 0.81, 0.97], dtype=torch.float64)
TOKENS = 3


def letters() -> World:
    """One position, K = 3: enough for laws of a single token."""
    return world(TOKENS, 1, [5, 3, 2])


def every_process() -> dict[str, Interpolating]:
    return processes(letters())


# Marginals as the papers print them: (mass that stays, mass of each real token, mass of the mask)
Masses = Callable[[Tensor, int], tuple[Tensor, Tensor, Tensor]]


def _growing_masses(t: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    c = 2 * 0.2 / (1 - 0.2) * (t * (1 - t)).sqrt()
    return (1 - t) / (1 + c), c / (k * (1 + c)), t / (1 + c)


PUBLISHED: dict[str, Masses] = {
    "uniform": lambda t, k: (1 - t, t / k, 0 * t),
    "mix k=.3": lambda t, k: (1 - t, 0.3 * t / k, 0.7 * t),
    "growing-mask p=.2": _growing_masses,
    "mask": lambda t, k: (1 - t, 0 * t, t),
}


def published() -> dict[str, tuple[Interpolating, Masses]]:
    return {name: (process, PUBLISHED[name]) for name, process in golden(letters()).items()}


def published_error(case: tuple[Interpolating, Masses]) -> float:
    process, masses = case
    at = process.law.marginal(TIMES)
    expected = torch.stack(masses(TIMES, TOKENS))
    return gap(torch.stack([at.alpha, at.real, at.mask]), expected)


def marginal_error(process: Interpolating) -> float:
    """The process's four numbers against the table, whose rows must sum to one."""
    at, noise = process.law.marginal(TIMES), Noise(process)
    table = noise.marginal(TIMES)
    found = at.real[:, None, None] + torch.zeros_like(table) + at.alpha[:, None, None] * torch.eye(TOKENS, noise.states)
    if noise.states > TOKENS:
        found[..., TOKENS] = at.mask[:, None]
    return max(gap(found, table), gap(table.sum(-1), 1), gap(at.corrupted + at.alpha, 1))


def transition_error(process: Interpolating) -> float:
    """Transitions have no negative entry, rows that sum to one, and carry the marginal of s to that of t."""
    noise, worst = Noise(process), 0.0
    for s, t in pairwise(TIMES):
        kernel = noise.transition(s, t)
        off = gap(noise.marginal(s) @ kernel, noise.marginal(t))
        worst = max(worst, -kernel.min().item(), gap(kernel.sum(-1), 1), off)
    return worst


def small_steps_error(process: Interpolating) -> float:
    """A product of 256 small steps is the closed marginal."""
    noise = Noise(process)
    grid = torch.linspace(0.01, 0.95, 257, dtype=torch.float64)
    carried = noise.marginal(grid[0])
    for kernel in noise.transition(grid[:-1], grid[1:]):
        carried = carried @ kernel
    return gap(carried, noise.marginal(grid[-1]))


def evidence_error(process: Interpolating) -> float:
    """ln q_t(z | v) up to a constant over v, for every state and clean token."""
    noise, worst = Noise(process), 0.0
    rows = letters().rows
    for z in range(noise.states):
        t = TIMES
        expected = noise.evidence(torch.full_like(t, z, dtype=torch.long), t)
        flat = torch.zeros(len(t), letters().vocabulary.rows, dtype=torch.float64)
        spike = process.log_likelihood(State(rows[z].expand(len(t))), t)
        found = spike.add_to(flat.index_fill(-1, torch.tensor(process.vocabulary.unpredictable), -torch.inf))
        worst = max(worst, gap(found.exp()[:, rows[:-1]], expected / expected.sum(-1, keepdim=True)))
    return worst


def corruption_error(process: Interpolating) -> float:
    """χ² of 10,000 corrupted tokens per clean token and time, and no change where a position is not editable."""
    noise, rows = Noise(process), letters().rows
    x0 = rows[:TOKENS].repeat_interleave(20_000)
    worst = 0.0
    for number, t in enumerate(TIMES):
        draws = Draws.seeded(7).at(number, torch.arange(len(x0)))
        editable = torch.arange(len(x0)) % 2 > 0
        noised = process.corrupt(x0, t.expand(x0.shape), draws, editable)
        if (noised.state.ids != x0)[~editable].any() or noised.t[~editable].any():
            return torch.inf
        for x in range(TOKENS):
            drawn = letters().numbers(noised.state.ids[editable & (x0 == rows[x])])
            worst = max(worst, surprise(drawn, noise.marginal(t)[x]))
    return worst


def prior_error(process: Interpolating) -> float:
    """χ² of 20,000 draws from the prior against what noise becomes at t = 1."""
    noise = Noise(process)
    end = noise.marginal(torch.ones((), dtype=torch.float64))[0]
    end[0] -= process.schedule.ends[1]
    drawn = letters().numbers(process.prior(Draws.seeded(3).at(torch.arange(20_000))).ids)
    return surprise(drawn, end / end.sum())


LAWS = (
    # 1e-15 is 9 u: numbers up to 1, of a curve known to 2 u and up to 4 operations more, on either side
    Law("marginal/published", published, published_error, 1e-15),
    Law("marginal/table", every_process, marginal_error, 1e-15),
    Law("marginal/transition", every_process, transition_error, 1e-15),
    Law("marginal/small-steps", every_process, small_steps_error, 1e-13),
    Law("marginal/evidence", every_process, evidence_error, 1e-14),
    Law("marginal/corruption", every_process, corruption_error, 6.0),
    Law("marginal/prior", every_process, prior_error, 6.0),
)
