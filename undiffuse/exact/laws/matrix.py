"""Noise by matrices of moves: the tables of the matrix exponential, and agreement with interpolating noise."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...predictor import Predictor
from ...process.discrete import Discrete
from ...process.matrix import Matrix
from ...process.powers import Exponentials
from ...process.prediction import Prediction
from ...process.process import Process
from ...process.schedules.geometric import Geometric
from ...process.schedules.one_minus_cos import OneMinusCos
from ...process.schedules.one_minus_t import OneMinusT
from ...process.schedules.schedule import Schedule
from ...randomness import Draws
from ...types import Noised, State
from ..catalog import destinations
from ..denoiser import ArbitraryDenoiser, BayesDenoiser
from ..instruments import exponential, gap, log_rows, read, shares
from ..law import ROUNDING, Law
from ..noise import Noise
from ..reverse import log_predictions
from ..world import World, small_worlds, toy_a, world
from .discrete_time import times

STEPS = 4


def letters() -> World:
    return world(6, 1, [6, 5, 4, 3, 2, 1])


def process_of(where: World, moves: str, schedule: Schedule, steps: int = STEPS) -> Matrix:
    return Matrix(where.vocabulary, schedule, moves, 2, steps)  # type: ignore[arg-type]


def given(where: World, rows: Tensor, schedule: Schedule | None = None, steps: int = STEPS) -> Matrix:
    return Matrix(where.vocabulary, schedule or OneMinusT(), "given", steps=steps, matrix=rows.tolist())


def rows_given(tokens: int) -> dict[str, Float[Tensor, "N N"]]:
    """Matrices of every sort: neither symmetric nor reversible, with the mask among the states, with ends, in parts."""
    draws = Draws.seeded(6).at(torch.arange(tokens + 1))
    random = draws.along(tokens + 1).uniform().square()
    one = torch.eye(tokens, dtype=torch.float64)
    half = tokens // 2
    parts = torch.block_diag(random[:half, :half], random[half:tokens, half:tokens])
    absorbing = random[:tokens, :tokens].tril()
    found = {
        "random": random[:tokens, :tokens],
        "random with the mask": random,
        "ring": one.roll(1, 1),
        "absorbing": absorbing,
        "in parts": parts,
    }
    return {name: rows / rows.sum(-1, keepdim=True) for name, rows in found.items()}


def every_matrix() -> dict[str, Matrix]:
    found = {
        f"{moves}, {name}": process_of(letters(), moves, schedule)
        for moves in ("band", "gaussian", "uniform", "mask")
        for name, schedule in (("one-minus-t", OneMinusT()), ("one-minus-cos", OneMinusCos()))
    }
    found |= {f"given, {name}": given(letters(), rows) for name, rows in rows_given(letters().tokens).items()}
    loud = given(letters(), rows_given(letters().tokens)["random"], Geometric(0.02, 3.0))
    return found | {"band, geometric": process_of(letters(), "band", Geometric(0.02, 3.0)), "given, geometric": loud}


def carried(process: Matrix, rho: Float[Tensor, "*t"]) -> Float[Tensor, "*t N N"]:
    """exp(−ln ρ (B − I)); ρ = 0 as 708 times the mean time between moves."""
    tiny = torch.finfo(torch.float64).tiny
    generator = process.move - torch.eye(len(process.move), dtype=torch.float64)
    return exponential(-rho.clamp(min=tiny).log()[..., None, None] * generator)


@dataclass(frozen=True)
class Grid:
    """Everything at once: each step k, clean token x and noisy state z that can occur, and a prediction for each."""

    process: Matrix

    def __post_init__(self) -> None:
        assert self.process.vocabulary == letters().vocabulary

    @property
    def alphas(self) -> tuple[Tensor, Tensor]:
        """α at the start and at the end of each step."""
        t = times(self.process)
        alpha = self.process.schedule.alpha(t)
        return torch.cat((torch.ones(1, dtype=torch.float64), alpha[:-1])), alpha

    def points(self) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"], Int[Tensor, " n"]]:
        """Step, number of x, number of z."""
        marginal = carried(self.process, self.alphas[1])[:, : letters().tokens]
        k, x, z = (marginal > 1e-9).nonzero(as_tuple=True)
        return k, x, z

    def predicted(self, count: int) -> Float[Tensor, "n K"]:
        draws = Draws.seeded(2).at(torch.arange(count))
        return (2 * torch.special.ndtri(draws.along(letters().tokens).uniform())).softmax(-1)

    def found(self) -> Float[Tensor, " n"]:
        """The code under test."""
        noised = self.noised()
        return self.process.bound(self.prediction(self.process), noised)

    def noised(self) -> Noised:
        (k, x, z), rows = self.points(), self.process.states
        return Noised(rows[x], State(rows[z]), times(self.process)[k], torch.ones_like(k, dtype=torch.bool))

    def prediction(self, process: Process) -> Prediction:
        """The predictions, under a process with the same noise."""
        noised = self.noised()
        return read(process, log_rows(letters(), self.predicted(len(noised.t))), noised.state, noised.t)


def path_error(process: Matrix) -> float:
    """T · KL(bridge ‖ mixture of the bridges by the posterior), from the tables of the matrix exponential.

    In units of its condition: a table's entries are sums that cancel, so what is rare is known to fewer digits.
    """
    grid = Grid(process)
    k, x, z = grid.points()
    alpha_s, alpha_t = grid.alphas
    until_s, until_t = (carried(process, alpha)[:, : letters().tokens] for alpha in (alpha_s, alpha_t))
    move = carried(process, alpha_t / alpha_s)  # k, y, z
    bridges = until_s[:, :, :, None] * move[:, None]  # k, x, y, z
    bridges = bridges / bridges.sum(2, keepdim=True).clamp(min=1e-300)
    predicted = grid.predicted(len(k))
    posterior = predicted * until_t[k, :, z]
    posterior = posterior / posterior.sum(-1, keepdim=True)
    true = bridges[k, x, :, z]
    model = torch.einsum("nx,nxy->ny", posterior, bridges[k, :, :, z])
    expected = process.steps * torch.where(true > 0, true * (true / model).log(), 0.0).sum(-1)
    condition = process.steps * kl_condition(
        move[k, :, z], until_s[k, x], torch.einsum("nx,nxy->ny", predicted, until_s[k])
    )
    return ((grid.found() - expected).abs() / condition).max().item()


def kl_condition(c: Float[Tensor, "n N"], q: Float[Tensor, "n N"], m: Float[Tensor, "n N"]) -> Float[Tensor, " n"]:
    """How far KL(c q / Σ c q ‖ c m / Σ c m) moves at most when every entry moves by one unit, to first order.

    With e = Σ c q, L = ln(q/m) and D = Σ c q L / e: ∂KL/∂q = c (L − D)/e, ∂KL/∂c = q (L − D − 1)/e + m/Σ c m,
    ∂KL/∂m = c/Σ c m − c q/(e m). An entry of 0 counts as one unit of rounding, which is as much as it may be off.
    """
    m = m.clamp(min=ROUNDING)
    ratio = (q.clamp(min=ROUNDING) / m).log()
    evidence, of_model = (q * c).sum(-1), (m * c).sum(-1)
    off = (ratio - ((q * c * ratio).sum(-1) / evidence)[:, None]).abs()
    of_tables = (c * off + q * (off + 1) + c * q / m).sum(-1) / evidence
    return of_tables + (m + c).sum(-1) / of_model


def chapman_kolmogorov_error(process: Matrix) -> float:
    """Q_s · Q_{s→t} = Q_t, the matrix exponential, and bridges weighed by q_t(z | x) are q_s(· | x)."""
    states, tokens = process.states, letters().tokens
    grid = torch.cat((torch.zeros(1, dtype=torch.float64), times(process)))
    until = torch.stack([process.marginal(states[:tokens], t.expand(tokens)) for t in grid])
    alpha = torch.cat((torch.ones(1, dtype=torch.float64), process.schedule.alpha(grid[1:])))
    worst = gap(until, carried(process, alpha)[:, :tokens])
    for early, late in [(i, j) for i in range(len(grid)) for j in range(i, len(grid))]:
        if alpha[early] == 0:
            continue
        move = process.arrived(states, grid[early], grid[late]).T  # y, z
        joint = until[early][:, :, None] * move
        evidence = joint.sum(1, keepdim=True)
        bridges = joint / evidence.where(evidence > 0, 1.0)
        back = (bridges * until[late][:, None]).sum(-1)
        worst = max(worst, gap(evidence[:, 0], until[late]), gap(back, until[early]), gap(move.sum(-1), 1))
    return worst


def prior_error(process: Matrix) -> float:
    """The prior is the mean of q_1(· | x), even numbers draw it, and its cost is what the tables say of each token."""
    end = carried(process, process.schedule.alpha(torch.ones(1, dtype=torch.float64)))[0, : letters().tokens]
    mean = end.mean(0)
    cost = (torch.xlogy(end, end) - torch.xlogy(end, mean)).sum(-1)
    found = process.prior_cost(process.states[: letters().tokens])
    drawn = process.prior(Draws.seeded(4).at(torch.arange(4096))).ids
    off = max(gap(found, cost), abs(process.prior_kl() - cost.max().item()))
    return max(off * 1e9, gap(shares(drawn, process.states), mean))


def named() -> dict[str, Matrix]:
    return {name: process for name, process in every_matrix().items() if not name.startswith("given")}


def given_error(process: Matrix) -> float:
    """A named matrix, given: the same marginals, evidence, bound and prior; and without its eigenvectors."""
    same = given(letters(), process.move, process.schedule)
    grid, other = Grid(process), Grid(same)
    k, x, z = grid.points()
    rows, t = process.states, times(process)[k]
    state, flat = State(rows[z]), torch.zeros(len(k), process.vocabulary.rows, dtype=torch.float64)
    posteriors = (each.log_likelihood(state, t).add_to(flat).exp() for each in (process, same))
    mass = torch.nn.functional.pad(grid.predicted(len(k)), (0, len(rows) - letters().tokens))
    rho = process.alpha(t)
    powers, series = process.powers, Exponentials(process.move)
    return max(
        gap(grid.found(), other.found()),
        gap(process.marginal(rows[x], t), same.marginal(rows[x], t)),
        gap(*posteriors),
        gap(process.prior_cost(rows[: letters().tokens]), same.prior_cost(rows[: letters().tokens])),
        gap(powers.carried(mass, rho), series.carried(mass, rho)),
        gap(powers.out_of(x, rho), series.out_of(x, rho)),
        gap(powers.into(z, rho), series.into(z, rho)),
    )


def agreeing() -> dict[str, tuple[Matrix, Discrete]]:
    """Moves whose square is themselves are interpolating noise."""
    found = {}
    for moves in ("uniform", "mask"):
        for name, schedule in (("one-minus-t", OneMinusT()), ("one-minus-cos", OneMinusCos())):
            discrete = Discrete(letters().vocabulary, schedule, destinations()[moves], STEPS)
            found[f"{moves}, {name}"] = (process_of(letters(), moves, schedule), discrete)
    return found


def agreement_error(case: tuple[Matrix, Discrete]) -> float:
    """Marginals, bound, evidence and prior of the two classes."""
    matrix, discrete = case
    grid = Grid(matrix)
    k, x, _ = grid.points()
    rows, t = matrix.states, times(matrix)[k]
    table = Noise(discrete).marginal(t)[torch.arange(len(k)), x]
    of_discrete, of_matrix = grid.prediction(discrete), grid.prediction(matrix)
    return max(
        gap(matrix.marginal(rows[x], t), table),
        gap(grid.found(), discrete.bound(of_discrete, grid.noised())),
        gap(of_discrete.posterior().exp(), of_matrix.posterior().exp()),
        abs(matrix.prior_kl() - discrete.prior_kl()),
    )


@dataclass(frozen=True, eq=False)
class Tables(Noise):
    """The marginals of a matrix process, in place of those of an interpolating one."""

    process: Matrix  # type: ignore[assignment]

    @property
    def states(self) -> int:
        return len(self.process.states)

    def marginal(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t K N"]:
        return carried(self.process, self.process.schedule.alpha(t))[..., : self.tokens, :]


@dataclass(frozen=True, eq=False)
class Enumerated:
    """Every step, text and state of a world, and what a network predicts at each state."""

    where: World
    process: Matrix
    predictor: Predictor

    @property
    def noise(self) -> Tables:
        return Tables(self.process)

    def joint(self) -> Float[Tensor, "T X Z"]:
        t, states = times(self.process), self.where.states(self.noise.states)
        every = t[:, None].expand(-1, self.where.length)
        found = self.where.law[:, None] * self.noise.of_texts(self.where.texts, states, every)
        return found.where(found > 1e-30, 0.0)  # what has not moved in 700 moves, where infinitely many are meant

    def predicted(self) -> Float[Tensor, "T Z L V"]:
        return log_predictions(self.predictor, self.where, self.where.states(self.noise.states), times(self.process))

    def found(self) -> tuple[Float[Tensor, " T"], float]:
        """The code under test: what it takes for every step, and for the reconstruction; nats per text."""
        t, states, joint = times(self.process), self.where.states(self.noise.states), self.joint()
        k, x, z = (joint > 0).nonzero(as_tuple=True)
        ids = self.process.states
        noised = Noised(
            ids[self.where.texts[x]],
            State(ids[states[z]]),
            t[k][:, None].expand(-1, self.where.length),
            torch.ones(len(k), self.where.length, dtype=torch.bool),
        )
        prediction = read(self.process, self.predicted()[k, z], noised.state, noised.t)
        weight = joint[k, x, z]
        each = torch.zeros_like(t).index_add(0, k, weight * self.process.bound(prediction, noised).sum(-1)) / len(t)
        first = torch.where(k == 0, weight * self.process.reconstruction(prediction, noised).sum(-1), 0.0)
        return each, first.sum().item()

    def path(self) -> Float[Tensor, " T"]:
        """E KL(bridge ‖ reverse step) of every step, from the tables; nats per text."""
        process, tokens, states = self.process, self.where.tokens, self.where.states(self.noise.states)
        alpha = process.schedule.alpha(times(process))
        before = torch.cat((torch.ones(1, dtype=torch.float64), alpha[:-1]))
        until, move = carried(process, before)[:, :tokens], carried(process, alpha / before)
        x_theta = self.predicted()[..., process.states[:tokens]].exp()
        joint, total = self.joint(), torch.zeros(len(alpha), dtype=torch.float64)
        for i in range(self.where.length):
            into = move[:, :, states[:, i]].transpose(1, 2)  # T, Z, y
            model = torch.einsum("tzx,txy->tzy", x_theta[:, :, i], until) * into
            model = model / model.sum(-1, keepdim=True)
            true = until[:, self.where.texts[:, i]][:, :, None] * into[:, None]  # T, X, Z, y
            true = true / true.sum(-1, keepdim=True).clamp(min=1e-300)
            kl = torch.where(true > 0, true * (true / model[:, None]).log(), 0.0).sum(-1)
            total += torch.where(joint > 0, joint * kl, 0.0).sum((1, 2))
        return total


def in_texts() -> dict[str, Enumerated]:
    """Exact and wrong networks, of few steps."""
    where = small_worlds()["K=3 L=2"]
    processes = {moves: process_of(where, moves, OneMinusCos()) for moves in ("band", "mask")}
    processes |= {f"given, {name}": given(where, rows, steps=3) for name, rows in rows_given(3).items()}
    found = {}
    for name, process in processes.items():
        wrong = Predictor(ArbitraryDenoiser(where, seed=5), process, "leave_one_out")
        found[name] = Enumerated(where, process, exact_network(where, process))
        found[f"arbitrary network, {name}"] = Enumerated(where, process, wrong)
    return found


def exact_network(where: World, process: Matrix) -> Predictor:
    return Predictor(BayesDenoiser(where, Tables(process), "leave_one_out"), process, "leave_one_out")


def terms_error(case: Enumerated) -> float:
    """The terms of the bound, step by step, and the first one apart as the reconstruction."""
    (found, first), expected = case.found(), case.path()
    return max((found - expected).abs().sum().item(), abs(first - expected[0].item()))


def excess(where: World, process: Matrix) -> float:
    """The bound of T steps under the exact leave-one-out network, beyond its least value.

    That is the entropy and, where noise does not forget where it began, KL(q(z_1) ‖ prior) of whole texts.
    """
    case = Enumerated(where, process, exact_network(where, process))
    cost = process.prior_cost(process.states[where.texts]).sum(-1)
    states = where.states(case.noise.states)
    last = case.joint()[-1].sum(0)
    prior = case.noise.marginal(torch.ones((), dtype=torch.float64)).mean(0)[states].prod(-1)
    ends = torch.where(last > 0, last * (last / prior).log(), 0.0).sum().item()
    return (where.law * cost).sum().item() + case.found()[0].sum().item() - where.entropy - ends


def chains() -> dict[str, tuple[World, str]]:
    return (
        {f"{moves}, K=3 L=2": (small_worlds()["K=3 L=2"], moves) for moves in ("band", "gaussian", "mask")}
        | {"band, toy A": (toy_a(), "band")}
        | {f"given, {name}, K=3 L=2": (small_worlds()["K=3 L=2"], name) for name in rows_given(3)}
    )


def limit_error(case: tuple[World, str]) -> float:
    """It falls to nothing as T grows, and four times the steps have a quarter of it."""
    where, moves = case
    rows = rows_given(where.tokens)
    over = [
        excess(
            where,
            given(where, rows[moves], steps=steps)
            if moves in rows
            else Matrix(where.vocabulary, OneMinusT(), moves, 1, steps),  # type: ignore[arg-type]
        )
        for steps in (1, 32, 128)
    ]
    rising = max(0.0, over[1] - over[0], over[2] - over[1])
    return max(rising, -over[-1], abs(over[2] / over[1] - 0.25))


def draw_error(process: Matrix) -> float:
    """A reverse step's draws, from the largest to the smallest of 4096 even numbers, have the law of the tables."""
    grid = Grid(process)
    k, _, z = grid.points()
    worst, rows, count = 0.0, process.states, 4096
    for place in range(0, len(k), 17):
        t = times(process)[k[place]]
        s = t - 1 / process.steps if k[place] else torch.zeros_like(t)
        state = State(rows[z[place]].expand(count))
        logits = log_rows(letters(), grid.predicted(len(k))[place])
        prediction = read(process, logits.expand(count, -1), state, t)
        drawn = process.step(prediction, state, t, s, Draws.seeded(4).at(torch.arange(count))).state.ids
        alpha_s, alpha_t = (a[k[place]] for a in grid.alphas)
        model = grid.predicted(len(k))[place] @ carried(process, alpha_s)[: letters().tokens]
        law = model * carried(process, alpha_t / alpha_s)[:, z[place]]
        worst = max(worst, gap(shares(drawn, rows), law / law.sum()))
    return worst


LAWS = (
    Law("matrix/chapman-kolmogorov", every_matrix, chapman_kolmogorov_error, 1e-12),
    Law("matrix/prior", every_matrix, prior_error, 0.04),
    Law("matrix/given", named, given_error, 1e-10),
    Law("matrix/terms", in_texts, terms_error, 1e-9),
    # an entry is Σ v λ v⁻¹ over N ≤ 7 eigenvectors, each known to N u, as is the sum: 3 N u; the tables' as much
    Law("matrix/path", every_matrix, path_error, 48 * ROUNDING),
    Law("matrix/interpolating", agreeing, agreement_error, 1e-10),
    Law("matrix/limit", chains, limit_error, 0.05),
    Law("matrix/draws", every_matrix, draw_error, 0.04),
)
