"""What must hold of every noise process, ours or of another package, with nothing known of it but its verbs.

Texts are drawn, corrupted by the process, and predicted by Bayes' rule from its own evidence. Then the bound is the
entropy in the mean, and the reverse chain leads back to the law of the texts. Noise on vectors has no states to
predict from; its laws are in `gaussian`.
"""

from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...kinds import PROCESSES, build_process
from ...process.prediction import Prediction
from ...process.process import Process
from ...randomness import Draws
from ...types import Noised, State
from ..instruments import log_rows, read
from ..law import Law
from ..surprise import surprise
from ..world import World, toy_a

TEXTS = 20_000
CHAINS, STEPS = 4000, 64


def every() -> dict[str, Process]:
    """Every kind with its defaults."""
    found = {kind: build_process({"kind": kind}, toy_a().vocabulary) for kind in PROCESSES.kinds}
    return {kind: process for kind, process in found.items() if not process.moves_vectors}


def optimum(process: Process, world: World, state: State, t: Float[Tensor, "n L"]) -> Prediction:
    """p(x_i | z without z_i), by Bayes' rule over all texts."""
    flat = torch.zeros(*t.shape, world.tokens, dtype=torch.float64)
    evidence = process.log_likelihood(state, t).add_to(log_rows(world, flat.exp()))[..., world.rows[:-1]]
    columns = evidence.transpose(0, 1)
    each = torch.stack([column[:, world.texts[:, i]] for i, column in enumerate(columns)])  # (L, n, X)
    found = []
    for i in range(world.length):
        weight = world.law.log() + torch.cat((each[:i], each[i + 1 :])).sum(0)
        chosen = torch.nn.functional.one_hot(world.texts[:, i], world.tokens).bool()
        found.append(torch.stack([weight[:, chosen[:, v]].logsumexp(-1) for v in range(world.tokens)], -1))
    return read(process, log_rows(world, torch.stack(found, 1).softmax(-1)), state, t)


def texts(world: World, count: int) -> Int[Tensor, "n L"]:
    """Texts in their proportions, as ids of the table."""
    share = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return world.rows[world.texts[torch.searchsorted(world.law.cumsum(0), share)]]


def tight_error(process: Process) -> float:
    """Prior, diffusion and reconstruction in the mean against the entropy, in standard errors."""
    world = toy_a()
    x = texts(world, TEXTS)[torch.randperm(TEXTS, generator=torch.Generator().manual_seed(1))]
    everywhere, draws = torch.ones_like(x, dtype=torch.bool), Draws.seeded(2).along(TEXTS).along(world.length)
    t = ((torch.arange(TEXTS, dtype=torch.float64) + 0.5) / TEXTS)[:, None].expand(x.shape)
    nats = process.prior_cost(x) + _cost(process, world, process.corrupt(x, t, draws, everywhere))
    if process.steps is None and not process.starts_clean:
        start = process.corrupt(x, torch.full_like(t, process.first), draws.stream("start"), everywhere)
        nats = nats + process.reconstruction(optimum(process, world, start.state, start.t), start)
    each = nats.sum(-1)
    return ((each.mean() - world.entropy).abs() / (each.std() / TEXTS**0.5)).item()


def _cost(process: Process, world: World, noised: Noised) -> Float[Tensor, "n L"]:
    """The integrand at informative positions, 0 elsewhere."""
    told = process.informative(noised)
    nats = process.bound(optimum(process, world, noised.state, noised.t), noised)
    return torch.where(told, nats, 0.0)


def reverse_error(process: Process) -> float:
    """Surprise at the texts that many chains end in."""
    world = toy_a()
    key = Draws.seeded(5).along(CHAINS).along(world.length)
    state = process.prior(key.stream("prior"))
    grid = torch.linspace(1, 0, STEPS + 1, dtype=torch.float64)
    for number, (t, s) in enumerate(pairwise(grid)):
        now, then = (time.expand(state.ids.shape) for time in (t, s))
        state = process.step(optimum(process, world, state, now), state, now, then, key.at(number)).state
    place = world.tokens ** torch.arange(world.length - 1, -1, -1)
    return surprise((world.numbers(state.ids) * place).sum(-1), world.law)


LAWS = (
    Law("process/tight", every, tight_error, 5.0),
    Law("process/reverse", every, reverse_error, 6.0),
)
