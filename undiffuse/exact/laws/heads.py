"""The two meanings of a network's output, and the conversion between them."""

import torch
from torch import Tensor

from ...process.destinations.uniform import Uniform
from ...process.interpolating import Interpolating
from ...process.prediction import Prediction
from ...process.schedules.one_minus_t import OneMinusT
from ...randomness import Draws
from ...types import State
from ...vocabulary import Vocabulary
from ..denoiser import BayesDenoiser, bayes_predictor
from ..expectation import enumerate_noise
from ..law import Law
from ..noise import Noise
from .bounds import Case, every_pair

TIMES = torch.tensor([0.05, 0.4, 0.9], dtype=torch.float64)


def posterior_error(case: Case) -> float:
    """A leave-one-out head plus the evidence is Bayes' posterior."""
    return _conversion_error(case, "leave_one_out", "posterior")


def leave_one_out_error(case: Case) -> float:
    """A posterior head less the evidence is Bayes' leave-one-out distribution."""
    return _conversion_error(case, "posterior", "leave_one_out")


def _conversion_error(case: Case, given: str, wanted: str) -> float:
    """Over all states of positive probability; positions that show a clean token for sure hold no leave-one-out."""
    found = enumerate_noise(case.world, case.process, TIMES)
    sites = case.process.informative(found.noised)
    prediction = bayes_predictor(case.world, case.process, given).predict(found.noised, found.batch, sites)  # type: ignore[arg-type]
    z = case.world.numbers(found.noised.state.ids)
    exact = BayesDenoiser(case.world, Noise(case.process), wanted).probabilities(z, found.noised.t)[sites]  # type: ignore[arg-type]
    converted = (prediction.posterior() if wanted == "posterior" else prediction.leave_one_out()).exp()
    return (converted[..., case.world.rows[:-1]] - exact).abs().max().item()


def masked_agreement_error(case: Case) -> float:
    """Under masked noise a decided token is certain, and at the mask the two meanings are one."""
    found = enumerate_noise(case.world, case.process, TIMES)
    everywhere = torch.ones_like(found.noised.editable)
    prediction = bayes_predictor(case.world, case.process).predict(found.noised, found.batch, everywhere)
    decided = ~case.process.informative(found.noised)[everywhere]
    ids = found.noised.state.ids[everywhere]
    own = prediction.posterior().exp().gather(-1, ids[:, None])[:, 0]
    agree = (prediction.posterior().exp() - prediction.leave_one_out().exp())[~decided].abs().max()
    return max((own[decided] - 1).abs().max().item(), agree.item())


def masked_pairs() -> dict[str, Case]:
    return {name: case for name, case in every_pair().items() if not case.process.destination.uniform}


def round_trips() -> dict[str, tuple[int, float]]:
    return {f"uniform, K={k} t={t}": (k, t) for k in (27, 50257) for t in (0.01, 0.5, 0.99)}


def float32_error(case: tuple[int, float]) -> float:
    """Leave-one-out → posterior → leave-one-out in float32, nats; budget: rounding of numbers up to 40."""
    size, t = case
    process = Interpolating(Vocabulary(rows=size), OneMinusT(), Uniform())
    logits = (2 * torch.special.ndtri(Draws.seeded(1).at(torch.arange(4)).along(size).uniform())).float()
    state, times = State(torch.arange(4)), torch.full((4,), t, dtype=torch.float64)
    first = Prediction(logits, "leave_one_out", lambda: process.log_likelihood(state, times))
    back = Prediction(first.posterior(), "posterior", first.evidence)
    return (back.leave_one_out() - logits.double().log_softmax(-1)).abs().max().item()


def banned_error(case: Case) -> float:
    """Control symbols, padding rows and the mask have probability zero in both meanings."""
    found = enumerate_noise(case.world, case.process, TIMES)
    everywhere = torch.ones_like(found.noised.editable)
    prediction = bayes_predictor(case.world, case.process).predict(found.noised, found.batch, everywhere)
    banned = torch.tensor(case.world.vocabulary.unpredictable)
    both: list[Tensor] = [prediction.posterior().exp(), prediction.leave_one_out().exp()]
    sums = max((p.sum(-1) - 1).abs().max().item() for p in both)
    return max(sums, *(p[..., banned].abs().max().item() for p in both))


def one_world() -> dict[str, Case]:
    return {name: case for name, case in every_pair().items() if case.world.tokens == 3}


LAWS = (
    Law("head/posterior", every_pair, posterior_error, 1e-12),
    Law("head/leave-one-out", every_pair, leave_one_out_error, 1e-12),
    Law("head/masked-agreement", masked_pairs, masked_agreement_error, 1e-14),
    Law("head/round-trip-float32", round_trips, float32_error, 1e-5),
    Law("head/unpredictable-rows", one_world, banned_error, 1e-14),
)
