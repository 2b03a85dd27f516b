"""What the bound costs under the optimal network: only the two ends, where positions are taken as independent."""

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.jumps import Jumps
from .noise import Noise
from .world import World


def prior_of(noise: Noise) -> Float[Tensor, " N"]:
    """What corrupted tokens are drawn from at t = 1."""
    end = torch.ones((), dtype=torch.float64)
    corrupted = noise.marginal(end)[0]
    corrupted[0] -= noise.process.law.schedule.alpha(end)
    return corrupted / corrupted.sum()


def slack(world: World, process: Jumps) -> float:
    """KL(Σ_i q_1(z_i | x_i) ‖ prior) above the mutual information, plus the total correlation of x given z at t = 0.

    The reverse chain of the optimal leave-one-out network is exact, so −ln p is exceeded by KL(q_1(z) ‖ prior) and by
    E_z KL(p(x | z_0) ‖ Π p(x_i | z_0)). Both vanish where α(1) = 0 and α(0) = 1.
    """
    noise = Noise(process)
    states = world.states(noise.states)
    ends = torch.tensor([[0.0], [1.0]], dtype=torch.float64).expand(2, world.length)
    joint = world.law[:, None] * noise.of_texts(world.texts, states, ends)
    start, end = joint[0], joint[1].sum(0)
    prior = prior_of(noise)[states].prod(-1)
    return _kl(end, prior) + _kl(start, _factorized(start, world))


def _factorized(joint: Float[Tensor, "X Z"], world: World) -> Float[Tensor, "X Z"]:
    """q(z) Π_i p(x_i | z)."""
    evidence = joint.sum(0)
    product = evidence.clone().expand_as(joint).clone()
    for i in range(world.length):
        for v in range(world.tokens):
            has = world.texts[:, i] == v
            product[has] *= joint[has].sum(0) / evidence.where(evidence > 0, 1.0)
    return product


def _kl(p: Tensor, q: Tensor) -> float:
    possible = p > 0
    return (p[possible] * (p[possible] / q[possible]).log()).sum().item()
