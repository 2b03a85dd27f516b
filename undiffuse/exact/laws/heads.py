"""The two meanings of a network's output, and the conversion between them."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.special import ndtri

from ...predictor import Predictor
from ...process.destinations.uniform import Uniform
from ...process.gammas.linear import Linear
from ...process.gaussian import Gaussian
from ...process.head_kinds import evidence_share, spread
from ...process.interpolating import Interpolating
from ...process.matrix import Matrix
from ...process.prediction import Prediction
from ...process.schedules.one_minus_t import OneMinusT
from ...process.scores import log_scores
from ...randomness import Draws
from ...types import HeadKind, State, Tags
from ...vocabulary import Vocabulary
from ..denoiser import BayesDenoiser, bayes_predictor
from ..expectation import enumerate_noise
from ..instruments import gap, read, round_trip_error
from ..law import Law
from ..noise import Noise
from ..vectors import ExactVectors
from ..world import World, small_worlds
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
    return gap(converted[..., case.world.rows[:-1]], exact)


def masked_agreement_error(case: Case) -> float:
    """Under masked noise a decided token is certain, and at the mask the two meanings are one."""
    found = enumerate_noise(case.world, case.process, TIMES)
    everywhere = torch.ones_like(found.noised.editable)
    prediction = bayes_predictor(case.world, case.process).predict(found.noised, found.batch, everywhere)
    decided = ~case.process.informative(found.noised)[everywhere]
    ids = found.noised.state.ids[everywhere]
    own = prediction.posterior().exp().gather(-1, ids[:, None])[:, 0]
    both = prediction.posterior().exp()[~decided], prediction.leave_one_out().exp()[~decided]
    return max(gap(own[decided], 1), gap(*both))


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
    return round_trip_error(read(process, logits, state, times))


def banned_error(case: Case) -> float:
    """Control symbols, padding rows and the mask have probability zero in both meanings."""
    found = enumerate_noise(case.world, case.process, TIMES)
    everywhere = torch.ones_like(found.noised.editable)
    prediction = bayes_predictor(case.world, case.process).predict(found.noised, found.batch, everywhere)
    banned = torch.tensor(case.world.vocabulary.unpredictable)
    both: list[Tensor] = [prediction.posterior().exp(), prediction.leave_one_out().exp()]
    return max(max(gap(p.sum(-1), 1), gap(p[..., banned])) for p in both)


def one_world() -> dict[str, Case]:
    return {name: case for name, case in every_pair().items() if case.world.tokens == 3}


@dataclass(frozen=True, eq=False)
class Exchange:
    """An exact network, and states at one time that differ in the noisy token of position `site` alone."""

    predictor: Predictor
    first: State
    second: State
    t: float
    site: int

    def looks(self) -> tuple[Prediction, Prediction]:
        found = []
        for state in (self.first, self.second):
            t = torch.full(state.ids.shape, self.t, dtype=torch.float64)
            every, positions = torch.ones_like(state.ids, dtype=torch.bool), torch.arange(state.ids.shape[1])
            tags = Tags(positions.expand(state.ids.shape))
            hidden = self.predictor.run(self.predictor.rows(state, t, tags, every))
            here = (slice(None), self.site)
            found.append(self.predictor.read(hidden[here], state[here], t[here]))
        return found[0], found[1]


def exchanges(where: World, predictor: Predictor, states: int, t: float) -> Iterator[Exchange]:
    """Every state of the world, its token at each position exchanged for every other that is real."""
    z = where.states(states)
    for site in range(where.length):
        for shift in range(1, where.tokens):
            real = z[z[:, site] < where.tokens]
            other = real.clone()
            other[:, site] = (other[:, site] + shift) % where.tokens
            yield Exchange(predictor, State(where.rows[real]), State(where.rows[other]), t, site)


@dataclass(frozen=True, eq=False)
class OfMatrix(Noise):
    """The marginals of a matrix process, which have laws of their own."""

    process: Matrix  # type: ignore[assignment]

    @property
    def states(self) -> int:
        return len(self.process.states)

    def marginal(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t K N"]:
        tokens = self.process.states[: self.tokens]
        return self.process.marginal(tokens.expand(*t.shape, -1), t[..., None].expand(*t.shape, len(tokens)))


@dataclass(frozen=True)
class Told:
    """A world, a process in which tokens are shown with noise, and the kind of head that is to be told."""

    world: World
    process: Interpolating | Matrix | Gaussian
    head: HeadKind

    def exchanges(self) -> Iterator[Exchange]:
        process = self.process
        if isinstance(process, Gaussian):
            exact = Predictor(ExactVectors(self.world, self.head), process, self.head)
            for site in range(self.world.length):
                place = torch.arange(self.world.length)
                first = ndtri(Draws.seeded(5).at(torch.arange(40)[:, None], place).along(exact.process.size).uniform())  # type: ignore[attr-defined]
                second = first.clone()
                second[:, site] = first[:, site].roll(1, 0)
                ids = self.world.rows[0].expand(40, self.world.length)
                for t in TIMES.tolist():
                    yield Exchange(exact, State(ids, first), State(ids, second), t, site)
            return
        noise = OfMatrix(process) if isinstance(process, Matrix) else Noise(process)
        exact = Predictor(BayesDenoiser(self.world, noise, self.head), process, self.head)
        for t in (0.25, 0.5, 0.75) if isinstance(process, Matrix) else TIMES.tolist():
            yield from exchanges(self.world, exact, noise.states, t)


def told_cases() -> dict[str, Told]:
    """Every process that shows noisy tokens, with either head."""
    found: dict[str, Told] = {}
    heads: tuple[HeadKind, ...] = ("leave_one_out", "posterior")
    for head in heads:
        for name, case in every_pair().items():
            if case.process.destination.uniform and case.world.tokens == 3:
                found[f"{head}, {name}"] = Told(case.world, case.process, head)
        small = small_worlds()["K=3 L=2"]
        for moves in ("band", "gaussian", "uniform"):
            found[f"{head}, matrix {moves}"] = Told(small, Matrix(small.vocabulary, OneMinusT(), moves, 2, 4), head)
        found[f"{head}, gaussian"] = Told(small, Gaussian(small.vocabulary, Linear()), head)
    return found


def share_error(case: Told) -> float:
    """The share of the own token's evidence in exact logits − 0 (leave-one-out) or 1 (posterior), at every exchange."""
    expected = float(case.head == "posterior")
    return max(abs(evidence_share(*exchange.looks()).item() - expected) for exchange in case.exchanges())


def masked_exchange(case: Case) -> float:
    """Under masked noise an exchanged token has no finite evidence: 0 if nothing is told, else 1."""
    predictor = bayes_predictor(case.world, case.process)
    found = exchanges(case.world, predictor, Noise(case.process).states, 0.4)
    return max(float(not evidence_share(*exchange.looks()).isnan()) for exchange in found)


def uniform_pairs() -> dict[str, Case]:
    return {
        name: case
        for name, case in every_pair().items()
        if case.process.destination.uniform and not case.process.destination.mask
    }


def flat_error(case: Case) -> float:
    """By how much the exact ratios of some state exceed the evidence of a token, nats."""
    predictor, worst = bayes_predictor(case.world, case.process), 0.0
    for t in (*TIMES.tolist(), 0.999):
        for exchange in exchanges(case.world, predictor, case.world.tokens, t):
            look, site = exchange.looks()[0], exchange.first[:, exchange.site]
            times = torch.full(site.ids.shape, t, dtype=torch.float64)
            ratios = log_scores(case.process.law, look, site, times)[..., case.world.rows[:-1]].abs().max()
            worst = max(worst, (ratios - look.evidence().boost.max()).item())  # type: ignore[union-attr]
    return max(worst, 0.0)


def complete_pairs() -> dict[str, Case]:
    """Those whose noise leaves nothing of the text at t = 1."""
    return {name: case for name, case in uniform_pairs().items() if case.process.schedule.ends[1] == 0}


def marginal_error(case: Case) -> float:
    """Spread of exact predictions − that of the marginal law of a position, where noise is nearly complete."""
    predictor, t = bayes_predictor(case.world, case.process), 1 - 1e-9
    worst = 0.0
    for exchange in exchanges(case.world, predictor, case.world.tokens, t):
        shown = case.world.texts[:, exchange.site]
        law = torch.zeros(case.world.tokens, dtype=torch.float64).index_add_(0, shown, case.world.law)
        worst = max(worst, gap(spread(exchange.looks()[0].logits), spread(law.log())))
    return worst


LAWS = (
    Law("head/posterior", every_pair, posterior_error, 1e-12),
    Law("head/leave-one-out", every_pair, leave_one_out_error, 1e-12),
    Law("head/masked-agreement", masked_pairs, masked_agreement_error, 1e-14),
    Law("head/round-trip-float32", round_trips, float32_error, 1e-5),
    Law("head/unpredictable-rows", one_world, banned_error, 1e-14),
    Law("head/told-by-evidence", told_cases, share_error, 1e-12),
    Law("head/masks-tell-nothing", masked_pairs, masked_exchange, 0.0),
    Law("head/scores-are-flat", uniform_pairs, flat_error, 1e-12),
    Law("head/predictions-are-not", complete_pairs, marginal_error, 1e-5),
)
