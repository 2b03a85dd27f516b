"""What a process says of itself, held against the tables of its noise."""

import torch

from ...process.discrete import Discrete
from ...process.process import Process
from ...randomness import Draws
from ..catalog import processes
from ..law import Law
from ..noise import Noise
from ..world import World, small_worlds
from . import matrix, spindle

TIMES = torch.tensor([0.1, 0.35, 0.5, 0.8, 1.0], dtype=torch.float64)
KEPT = torch.tensor([0.1, 0.4, 0.75], dtype=torch.float64)
Case = tuple[Process, Noise]


def small() -> World:
    return small_worlds()["K=3 L=2"]


def jumping() -> dict[str, Case]:
    """Every interpolating process, in continuous time and in steps."""
    found: dict[str, Case] = {}
    for name, process in processes(small()).items():
        steps = Discrete(small().vocabulary, process.schedule, process.destination, 20)
        found |= {name: (process, Noise(process)), f"{name}, T=20": (steps, Noise(steps))}
    return found


def masking() -> dict[str, Case]:
    """Masks that take rare tokens first."""
    process = spindle.process_of(small())
    return {"spindle": (process, spindle.tables(small(), process))}


def by_matrix() -> dict[str, Case]:
    return {f"matrix, {name}": (process, matrix.Tables(process)) for name, process in matrix.every_matrix().items()}


def every() -> dict[str, Case]:
    return jumping() | masking() | by_matrix()


def timed() -> dict[str, Case]:
    """Those of which a table says how often a token is kept: of a matrix it may also have come back."""
    return jumping() | masking()


def fact_error(case: Case) -> float:
    """How many facts are not those of the tables, or of draws."""
    process, noise = case
    table, start = noise.marginal(TIMES), noise.marginal(torch.zeros((), dtype=torch.float64))
    real = table[..., : noise.tokens]
    others = real - torch.diag_embed(real.diagonal(dim1=-2, dim2=-1))
    clean = torch.equal(start[:, : noise.tokens], torch.eye(noise.tokens, dtype=torch.float64))
    drawn = process.unread(Draws.seeded(3).along(4096))
    wrong = (
        (process.mask is not None) != bool((table[..., noise.tokens :] > 0).any()),
        process.shows_tokens != bool((others > 0).any()),
        process.starts_clean != (clean and process.steps is None),
        process.unread_is_drawn != (len(drawn.unique()) > 1),
    )
    return float(sum(wrong))


def time_error(case: Case) -> float:
    """The mean share that is kept at `time_at` of it, over a text with the counts of the process."""
    process, noise = case
    t = process.time_at(KEPT)
    table = noise.marginal(t)
    wrong = table[:, 0, 1] if noise.tokens > 1 else torch.zeros_like(t)
    kept = table.diagonal(dim1=-2, dim2=-1) - wrong[:, None]
    counts = torch.tensor(getattr(process, "counts", None) or [1] * noise.tokens, dtype=torch.float64)
    reached = (t > 0) & (t < 1)  # a schedule may end above or begin below
    return torch.where(reached, (kept @ counts) / counts.sum() - KEPT, 0.0).abs().max().item()


def share_error(case: Case) -> float:
    """The share of wrong tokens among those that are seen, of a text with every token once."""
    process, noise = case
    ids, draws = torch.tensor(process.vocabulary.predictable), Draws.seeded(4).along(noise.tokens)
    worst = 0.0
    for t in TIMES:
        seen = noise.marginal(t)[:, : noise.tokens]
        right, total = seen.diagonal().sum(), seen.sum()
        expected = (1 - right / total).item() if total > 0 else 0.0
        worst = max(worst, abs(process.error_share(ids, t, draws).item() - expected))
    return worst


LAWS = (
    Law("facts/table", every, fact_error, 0.0),
    Law("facts/time", timed, time_error, 1e-9),
    Law("facts/errors", every, share_error, 1e-12),
)
