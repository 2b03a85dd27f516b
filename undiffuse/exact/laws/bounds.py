"""The bound: tight for the optimum, a bound for every other network, visibly wrong for a head of the other kind."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...predictor import Predictor
from ...process.destinations.mask import Mask
from ...process.destinations.uniform import Uniform
from ...process.interpolating import Interpolating
from ...process.prediction import Prediction
from ...process.schedules.geometric import Geometric
from ...process.schedules.one_minus_t import OneMinusT
from ...randomness import Draws
from ...types import Noised
from ..catalog import golden, masked, processes
from ..denoiser import ArbitraryDenoiser, bayes_predictor
from ..expectation import diffusion, enumerate_noise, integral, quadrature, reconstruction, total
from ..law import LAST_DIGIT, Law, in_last_digits
from ..noise import Noise
from ..slack import prior_of, slack
from ..world import World, small_worlds, toy_a, world

CUT = 1e-6  # the golden integrals leave out this much of time at each end


@dataclass(frozen=True)
class Case:
    """A world and a process on it."""

    world: World
    process: Interpolating


def every_pair() -> dict[str, Case]:
    return {
        f"{name}, {where}": Case(small, process)
        for where, small in small_worlds().items()
        for name, process in processes(small).items()
    }


def golden_pairs() -> dict[str, Case]:
    return {name: Case(toy_a(), process) for name, process in golden(toy_a()).items()}


def tightness_error(case: Case) -> float:
    """prior + integral + reconstruction − entropy, less what the factorized ends cost by construction."""
    found = total(bayes_predictor(case.world, case.process), case.world, nodes=120)
    return abs(found - case.world.entropy - slack(case.world, case.process))


def posterior_head_error(case: Case) -> float:
    """The same with a network that gives the posterior and says so."""
    found = total(bayes_predictor(case.world, case.process, "posterior"), case.world, nodes=120)
    return abs(found - case.world.entropy - slack(case.world, case.process))


def conditional_error(case: Case) -> float:
    """With the first position fixed the bound is H(rest | first)."""
    editable = torch.arange(case.world.length) > 0
    found = total(bayes_predictor(case.world, case.process), case.world, editable, nodes=120)
    texts, law = case.world.texts, case.world.law
    first = torch.zeros(case.world.tokens, dtype=torch.float64).index_add_(0, texts[:, 0], law)
    given = -(law * torch.where(law > 0, (law / first[texts[:, 0]]).log(), 0.0)).sum().item()
    return abs(found - given)


# Integral, reconstruction and sum under the exact leave-one-out head; the sum with the posterior plugged in raw
GOLDEN = {
    "uniform": ("1.279839", "0.000015", "1.279854", "1.824166"),
    "mix k=.3": ("1.279848", "0.000006", "1.279854", "1.640205"),
    "growing-mask p=.2": ("1.275412", "0.004443", "1.279854", "1.700697"),
    "mask": ("", "", "1.279853", "1.279853"),
}


def goldens() -> dict[str, tuple[Case, tuple[str, ...]]]:
    return {name: (case, GOLDEN[name]) for name, case in golden_pairs().items()}


def golden_error(case: tuple[Case, tuple[str, ...]]) -> float:
    """In units of the last printed digit."""
    at, printed = case
    right = bayes_predictor(at.world, at.process)
    inside = _cut_integral(right, at.world)
    end = reconstruction(right, at.world, CUT)
    found = (inside, end, inside + end, _cut_integral(mislabeled(at), at.world) + end)
    return max(in_last_digits(value, text) for value, text in zip(found, printed, strict=True) if text)


def mislabeled(case: Case) -> Predictor:
    """The exact posterior passed off as a leave-one-out prediction: what prediction kinds exist to prevent."""
    posterior = bayes_predictor(case.world, case.process, "posterior")
    return Predictor(posterior.denoiser, case.process, "leave_one_out")


def detection_error(case: Case) -> float:
    """What is missing to 0.1 nats of visible excess when the posterior is passed off as leave-one-out."""
    excess = total(mislabeled(case), case.world, nodes=120) - case.world.entropy
    return max(0.0, 0.1 - excess)


def confusable() -> dict[str, Case]:
    """Pairs for which the two meanings differ at positions that the bound reads."""
    small = small_worlds()["K=3 L=2"]
    return {name: Case(small, p) for name, p in processes(small).items() if p.destination.uniform}


def _cut_integral(predictor: Predictor, world: World) -> float:
    return integral(lambda t: diffusion(predictor, world, t), CUT, 1 - CUT)


def inequality_error(case: Case) -> float:
    """Worst shortfall below the entropy among 1000 arbitrary networks."""
    networks, nodes = 1000, 10
    times, weights = quadrature(0.0, 1.0, nodes)
    found = enumerate_noise(case.world, case.process, times)
    z = case.world.numbers(found.noised.state.ids)
    place = (z * (case.world.tokens + 1) ** torch.arange(case.world.length)).sum(-1)
    keys = Draws.seeded(11).at(torch.arange(networks)[:, None, None], torch.arange(int(place.max()) + 1)[:, None])
    logits = 2 * torch.special.ndtri(
        keys.at(torch.arange(case.world.length)).along(case.world.vocabulary.rows).uniform()
    )
    rows = torch.arange(len(place)).repeat(networks)
    network = torch.arange(networks).repeat_interleave(len(place))
    nats = bound_of(case, logits[network, place[rows]], found.noised[rows]).sum(-1).view(networks, -1)
    sums = (nats * found.probability * weights[found.node]).sum(-1)
    return max(0.0, case.world.entropy - sums.min().item())


def bound_of(case: Case, logits: Float[Tensor, "*lead V"], noised: Noised) -> Float[Tensor, "*lead"]:
    """The integrand for logits of a leave-one-out head."""
    banned = torch.tensor(case.process.vocabulary.unpredictable)
    prediction = Prediction(
        logits.index_fill(-1, banned, -torch.inf),
        "leave_one_out",
        lambda: case.process.log_likelihood(noised.state, noised.t),
    )
    return case.process.bound(prediction, noised)


def schedule_error(case: Case) -> float:
    """An arbitrary time-free network has one bound, whatever the schedule of masked noise."""
    reference = Interpolating(case.world.vocabulary, OneMinusT(), Mask())
    expected, found = (
        integral(lambda t, process=process: diffusion(_arbitrary(case.world, process), case.world, t))  # type: ignore[misc]
        for process in (reference, case.process)
    )
    return abs(found - expected)


def masked_pairs() -> dict[str, Case]:
    where, small = "K=2 L=3", small_worlds()["K=2 L=3"]
    return {f"{name}, {where}": Case(small, process) for name, process in masked(small).items()}


def _arbitrary(world: World, process: Interpolating) -> Predictor:
    return Predictor(ArbitraryDenoiser(world, seed=5), process, "leave_one_out")


def prior_error(case: Case) -> float:
    """KL(q_1(· | x) ‖ prior) against the tables, relative where it is not zero."""
    noise = Noise(case.process)
    q = noise.marginal(torch.ones((), dtype=torch.float64))[0]
    prior = prior_of(noise)
    possible = q > 0
    expected = (q[possible] * (q[possible] / prior[possible]).log()).sum().item()
    return abs(case.process.prior_kl() - expected)


def early_stop_priors() -> dict[str, Case]:
    """Schedules that leave something of the text at t = 1, with the closed form for uniform noise."""
    small = world(4, 1, [1, 2, 3, 4])
    ends = {f"uniform, geometric sigma_max={end}": Geometric(1e-4, end) for end in (0.5, 3.0, 7.0)}
    return {name: Case(small, Interpolating(small.vocabulary, schedule, Uniform())) for name, schedule in ends.items()}


LAWS = (
    Law("bound/tight", every_pair, tightness_error, 5e-8),
    Law("bound/tight-posterior-head", golden_pairs, posterior_head_error, 5e-8),
    Law("bound/conditional", golden_pairs, conditional_error, 5e-8),
    Law("bound/golden", goldens, golden_error, LAST_DIGIT),
    Law("bound/wrong-head-detected", confusable, detection_error, 0.0),
    Law("bound/inequality", golden_pairs, inequality_error, 1e-9),
    Law("bound/schedule-free", masked_pairs, schedule_error, 1e-9),
    Law("bound/prior", lambda: every_pair() | early_stop_priors(), prior_error, 1e-12),
)
