"""The reverse step: one kernel in every form, its limits, and what `step` really draws."""

from collections.abc import Callable

import torch
from torch import Tensor

from ...process.interpolating import Interpolating
from ...randomness import Draws
from ...types import State
from ..instruments import log_rows, read
from ..law import Law
from ..noise import Noise
from ..reverse import bridge, kernel_rows
from ..surprise import surprise
from .marginals import TOKENS, every_process, letters

PAIRS = [(0.02, 0.05), (0.1, 0.9), (0.4, 0.5), (0.3, 0.95), (0.75, 0.7501)]  # s < t


def predictions() -> Tensor:
    """Twenty leave-one-out predictions over the real tokens, some nearly certain."""
    draws = Draws.seeded(4).at(torch.arange(20))
    return (2.5 * torch.special.ndtri(draws.along(TOKENS).uniform())).softmax(-1)


def kernel(process: Interpolating, predicted: Tensor, s: float, t: float) -> Tensor:
    """Rows of the kernel under test for every state (Z) and prediction (n): (Z, n, N)."""
    states = Noise(process).states
    z = torch.arange(states)[:, None].expand(1, states, len(predicted))
    log_x = log_rows(letters(), predicted).expand(1, states, -1, -1)
    return kernel_rows(process, log_x, z, _time(t)[None], _time(s)[None], letters())[0]


def posterior(noise: Noise, predicted: Tensor, t: float) -> Tensor:
    """p(v | z) ∝ x_θ(v) q_t(z | v) for every state and prediction: (Z, n, K)."""
    joint = predicted[None] * noise.marginal(_time(t)).T[:, None]
    return joint / joint.sum(-1, keepdim=True)


def _time(t: float) -> Tensor:
    return torch.tensor(t, dtype=torch.float64)


def _worst(process: Interpolating, gap: Callable[[Noise, float, float], Tensor]) -> float:
    return max(gap(Noise(process), s, t).abs().max().item() for s, t in PAIRS)


def bridge_error(process: Interpolating) -> float:
    """With the clean token known, the kernel is Bayes' bridge q(z_s | z_t, x)."""

    def gap(noise: Noise, s: float, t: float) -> Tensor:
        known = kernel(process, torch.eye(TOKENS, dtype=torch.float64), s, t).transpose(0, 1)
        possible = noise.marginal(_time(t))[..., None] > 0
        return (known - bridge(noise, _time(s)[None], _time(t)[None])[0]).where(possible, 0.0)

    return _worst(process, gap)


def marginalization_error(process: Interpolating) -> float:
    """Σ_{z_t} q(z_t | x) p(z_s | z_t, x) = q(z_s | x)."""

    def gap(noise: Noise, s: float, t: float) -> Tensor:
        known = kernel(process, torch.eye(TOKENS, dtype=torch.float64), s, t).transpose(0, 1)
        carried = (noise.marginal(_time(t))[..., None] * known.nan_to_num(0.0)).sum(1)
        return carried - noise.marginal(_time(s))

    return _worst(process, gap)


def mixture_error(process: Interpolating) -> float:
    """The kernel is Σ_v p(v | z_t) q(z_s | z_t, v) with the posterior of the prediction."""

    def gap(noise: Noise, s: float, t: float) -> Tensor:
        mixed = torch.einsum(
            "znv,vzy->zny", posterior(noise, predictions(), t), bridge(noise, _time(s)[None], _time(t)[None])[0]
        )
        return kernel(process, predictions(), s, t) - mixed

    return _worst(process, gap)


def plug_in_error(process: Interpolating) -> float:
    """The kernel is q(z_t | z_s) q_θ,s(z_s) / q_θ,t(z_t)."""

    def gap(noise: Noise, s: float, t: float) -> Tensor:
        early, late = (predictions() @ noise.marginal(_time(time)) for time in (s, t))
        joint = early[None] * noise.transition(_time(s), _time(t)).T[:, None]
        return kernel(process, predictions(), s, t) - joint / late.T[..., None]

    return _worst(process, gap)


def tweedie_error(process: Interpolating) -> float:
    """From scores alone: carry q_θ(y)/q_θ(z) back through the inverse transition, then weigh by the transition."""

    def gap(noise: Noise, s: float, t: float) -> Tensor:
        step = noise.transition(_time(s), _time(t))
        late = predictions() @ noise.marginal(_time(t))
        score = late[None] / late.T[..., None]
        carried = score @ torch.linalg.inv(step)
        return kernel(process, predictions(), s, t) - carried * step.T[:, None]

    return _worst(process, gap)


def mass_error(process: Interpolating) -> float:
    """The three masses add up to q_θ,t(z_t), so they need no normalization by a sum of their own."""

    def gap(noise: Noise, s: float, t: float) -> Tensor:
        z = letters().rows[: noise.states][:, None].expand(-1, len(predictions()))
        log_x = log_rows(letters(), predictions()).expand(noise.states, -1, -1)
        masses = process.law.kernel(log_x, State(z), _time(t), _time(s))
        total = masses.copy + masses.denoise + masses.renoise
        return total - (predictions() @ noise.marginal(_time(t))).T

    return _worst(process, gap)


def identity_error(process: Interpolating) -> float:
    """From t to t nothing moves."""
    stays = torch.eye(Noise(process).states, dtype=torch.float64)[:, None]
    return max((kernel(process, predictions(), t, t) - stays).abs().max().item() for _, t in PAIRS)


def finish_error(process: Interpolating) -> float:
    """The step to t = 0 is a draw from the posterior, also under schedules that start with some noise."""

    def gap(noise: Noise, _: float, t: float) -> Tensor:
        found = kernel(process, predictions(), 0.0, t)
        expected = torch.nn.functional.pad(posterior(noise, predictions(), t), (0, noise.states - noise.tokens))
        return found - expected

    return _worst(process, gap)


def draws_error(process: Interpolating) -> float:
    """χ² of 4,000 draws of `step` from each state; positions are final when nothing can change them any more."""
    noise, n = Noise(process), 4_000
    predicted = predictions()[:1]
    worst = 0.0
    for number, (s, t) in enumerate([(0.3, 0.8), (0.0, 0.6)]):
        expected = kernel(process, predicted, s, t)[:, 0]
        for z in range(noise.states):
            state = State(letters().rows[z].expand(n))
            prediction = read(process, log_rows(letters(), predicted).expand(n, -1), state, _time(t))
            draws = Draws.seeded(9).at(number, z, torch.arange(n))
            stepped = process.step(prediction, state, _time(t).expand(n), _time(s).expand(n), draws)
            found = letters().numbers(stepped.state.ids)
            clean = found < TOKENS
            final = clean if not process.destination.uniform else torch.full_like(clean, s == 0)
            if not torch.equal(final, stepped.final):
                return torch.inf
            worst = max(worst, surprise(found, expected[z]))
    return worst


def reads_error(process: Interpolating) -> float:
    """Where `reads` says that the step ignores the prediction, another prediction gives the same draw."""
    n = 2000
    noise = Noise(process)
    state = State(letters().rows[torch.arange(n) % noise.states])
    draws, t, s = Draws.seeded(6).at(torch.arange(n)), _time(0.8).expand(n), _time(0.5).expand(n)
    outcomes = []
    for row in (0, 1):
        prediction = read(process, log_rows(letters(), predictions()[row]).expand(n, -1), state, t)
        outcomes.append(process.step(prediction, state, t, s, draws).state.ids)
    differ = outcomes[0] != outcomes[1]
    return float((differ & ~process.reads(state, t, s, draws)).sum())


LAWS = (
    Law("step/bridge", every_process, bridge_error, 1e-10),
    Law("step/marginalization", every_process, marginalization_error, 1e-12),
    Law("step/mixture-of-bridges", every_process, mixture_error, 1e-12),
    Law("step/plug-in", every_process, plug_in_error, 1e-12),
    # noise from 0.3 to 0.95 keeps ρ = 1.9e-5: 1/ρ is the condition of its inverse, and 16 u/ρ is 1e-10
    Law("step/tweedie", every_process, tweedie_error, 1e-10),
    Law("step/mass", every_process, mass_error, 1e-14),
    Law("step/identity", every_process, identity_error, 1e-14),
    Law("step/finish-is-posterior", every_process, finish_error, 1e-12),
    Law("step/draws", every_process, draws_error, 6.0),
    Law("step/reads", every_process, reads_error, 0.0),
)
