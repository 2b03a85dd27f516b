"""The bound's integrand is one number in every form in which it was published, for each (x, z, t, x_θ)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...process.interpolating import Interpolating
from ...process.prediction import Prediction
from ...randomness import Draws
from ...types import Noised, State
from ..catalog import golden, processes
from ..instruments import log_rows, read
from ..law import Law
from ..noise import Noise
from ..world import World, world

K = 4


def letters() -> World:
    return world(K, 1, [4, 3, 2, 1])


@dataclass(frozen=True)
class Points:
    """Every (x, z) of one process at some times, each with ten random predictions."""

    process: Interpolating

    @cached_property
    def axes(self) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"], Float[Tensor, " n"]]:
        """Numbers of x and z, and t, of each point."""
        times = torch.tensor([0.02, 0.08, 0.3, 0.5, 0.77, 0.99], dtype=torch.float64)
        table = Noise(self.process).marginal(times)
        t, x, z, _ = (table[..., None].expand(*table.shape, 10) > 0).nonzero(as_tuple=True)
        return x, z, times[t]

    @cached_property
    def predicted(self) -> Float[Tensor, "n K"]:
        """x_θ over the real tokens, some of it very small."""
        draws = Draws.seeded(2).at(torch.arange(len(self.axes[0])))
        return (3 * torch.special.ndtri(draws.along(K).uniform())).softmax(-1)

    @cached_property
    def found(self) -> Float[Tensor, " n"]:
        """The integrand of the code under test."""
        return self.process.bound(self.prediction, self.noised)

    @cached_property
    def noised(self) -> Noised:
        x, z, t = self.axes
        rows = letters().rows
        return Noised(rows[x], State(rows[z]), t, torch.ones_like(x, dtype=torch.bool))

    @property
    def prediction(self) -> Prediction:
        return read(self.process, log_rows(letters(), self.predicted), self.noised.state, self.noised.t)

    def relative_gap(self, form: Float[Tensor, " n"]) -> float:
        return ((self.found - form).abs() / (1 + form.abs())).max().item()


def every_process() -> dict[str, Points]:
    return {name: Points(process) for name, process in processes(letters()).items()}


def score_entropy_error(points: Points) -> float:
    """Σ_{y≠z} R(y → z) [s_θ(y) − s(y) + s(y) ln(s(y)/s_θ(y))], the KL between reverse paths (SEDD, theorem 3.6).

    s(y) = q(y)/q(z); the rates R are the slope of the transition table.
    """
    x, z, t = points.axes
    noise = Noise(points.process)
    n = torch.arange(len(x))
    q = noise.marginal(t)[n, x]
    q_model = (points.predicted[:, :, None] * noise.marginal(t)).sum(1)
    s, s_model = q / q[n, z, None], q_model / q_model[n, z, None]
    term = s_model - s + torch.where(s > 0, s * (s / s_model).log(), 0.0)
    term[n, z] = 0.0
    return points.relative_gap(_rates(noise, t)[n, z] * term.sum(-1))


def _rates(noise: Noise, t: Float[Tensor, " n"]) -> Float[Tensor, "n N"]:
    """Rate into each state, from any other: ∂ q(z_t' = z | z_t = y) / ∂t' at t' = t, y ≠ z."""
    later = t.clone().requires_grad_()
    kernel = noise.transition(t, later)
    into = [kernel[:, z - 1, z].sum() for z in range(noise.states)]
    return torch.stack([torch.autograd.grad(mass, later, retain_graph=True)[0] for mass in into], -1)


def udlm(x: Tensor, z: Tensor, alpha: Tensor, rest: Tensor, slope: Tensor, predicted: Tensor) -> Tensor:
    """UDLM (Schiff et al. 2025), equation 18: x̄ = Kα·onehot + 1 − α, dense over the vocabulary."""
    n = torch.arange(len(x))
    bar = K * alpha[:, None] * torch.eye(K, dtype=torch.float64)[x] + rest[:, None]
    model = K * alpha[:, None] * predicted + rest[:, None]
    bar_z, model_z = bar[n, z, None], model[n, z, None]
    logs = (bar / bar_z * (model_z * bar / (model * bar_z)).log()).sum(-1)
    return slope / (K * alpha) * (K / bar_z[:, 0] - K / model_z[:, 0] - logs)


def duo(x: Tensor, z: Tensor, alpha: Tensor, rest: Tensor, slope: Tensor, predicted: Tensor) -> Tensor:
    """Duo (Sahoo et al. 2025): the same rearranged so that the sum over the vocabulary holds no product with x̄."""
    n = torch.arange(len(x))
    zeta = rest / (K * alpha + rest)
    hit = x == z
    model = K * alpha[:, None] * predicted + rest[:, None]
    bar_z = torch.where(hit, K * alpha + rest, rest)
    model_z, model_x = model[n, z], model[n, x]
    logs = (model_z[:, None] / model).log().sum(-1)
    ends = torch.where(hit, (K - 1) * zeta * zeta.log(), -zeta.log() / zeta)
    jump = torch.where(hit, 0.0, K * alpha / rest * (model_z / model_x).log())
    return slope / (K * alpha) * (K / bar_z - K / model_z - torch.where(hit, zeta, 1.0) * logs - jump - ends)


Form = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]


def uniform_forms() -> dict[str, tuple[Points, Form]]:
    pairs = {name: points for name, points in every_process().items() if name.startswith("uniform,")}
    forms: dict[str, Form] = {"UDLM": udlm, "Duo": duo}
    return {f"{name}, {form}": (points, forms[form]) for name, points in pairs.items() for form in forms}


def uniform_error(case: tuple[Points, Form]) -> float:
    points, form = case
    x, z, t = points.axes
    schedule = points.process.schedule
    kept, rest = schedule.alpha(t), schedule.one_minus_alpha(t)
    return points.relative_gap(form(x, z, kept, rest, schedule.derivative(t), points.predicted))


def gidd_error(points: Points) -> float:
    """GIDD (von Rütte et al. 2025): KL plus Itakura–Saito with the closed-form weights of its hybrid noise, γ = 1."""
    x, z, t = points.axes
    n = torch.arange(len(x))
    b = 2 * 0.2 / 0.8
    c, slope = b * (t * (1 - t)).sqrt(), b / 2 * (1 - 2 * t) / (t * (1 - t)).sqrt()
    spread = c + (1 - t) * slope
    weight = torch.where(z == x, spread / K / ((1 - t) * (1 - t + c / K)), spread / ((1 - t) * c))
    weight = torch.where(z == K, 1 / (t * (1 - t)), weight)
    return points.relative_gap(weight * _divergence(Noise(points.process), x, z, t, points.predicted, n))


def _divergence(noise: Noise, x: Tensor, z: Tensor, t: Tensor, predicted: Tensor, n: Tensor) -> Tensor:
    """KL(q ‖ q_θ) + r − 1 − ln r over the full tables."""
    q = noise.marginal(t)[n, x]
    q_model = (predicted[:, :, None] * noise.marginal(t)).sum(1)
    r = q[n, z] / q_model[n, z]
    kl = torch.where(q > 0, q * (q / q_model).log(), 0.0).sum(-1)
    return kl + r - 1 - r.log()


def masked_error(points: Points) -> float:
    """MDLM, MD4: −α'/(1 − α) · (−ln x_θ(x)) at the mask, nothing elsewhere."""
    x, z, t = points.axes
    schedule = points.process.schedule
    weight = -schedule.derivative(t) / schedule.one_minus_alpha(t)
    cross_entropy = -points.predicted[torch.arange(len(x)), x].log()
    return points.relative_gap(torch.where(z == K, weight * cross_entropy, 0.0))


def masked_forms() -> dict[str, Points]:
    return {name: points for name, points in every_process().items() if name.startswith("mask,")}


def gidd_forms() -> dict[str, Points]:
    return {"growing-mask p=.2": Points(golden(letters())["growing-mask p=.2"])}


LAWS = (
    Law("forms/score-entropy", every_process, score_entropy_error, 1e-11),
    Law("forms/uniform", uniform_forms, uniform_error, 1e-11),
    Law("forms/gidd", gidd_forms, gidd_error, 1e-12),
    Law("forms/masked", masked_forms, masked_error, 1e-12),
)
