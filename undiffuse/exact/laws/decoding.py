"""Decoding: one token at a time is the chain rule, whatever the order; the ancestral loop has the law of its steps."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import Any, Literal

import torch
from torch import Tensor

from ...decode.canvas import Canvas
from ...decode.proposal import Filters
from ...decode.strategies.greedy_tail import GreedyTail
from ...decode.strategies.origin import Origin
from ...decode.strategies.p2 import P2
from ...decode.strategies.strategy import Strategy, Unmasking
from ...kinds import STRATEGIES
from ...process.interpolating import Interpolating
from ...process.needs import meets
from ..catalog import golden
from ..denoiser import BayesDenoiser, bayes_predictor
from ..instruments import REQUESTS, canvas, even, finish, gap, number, text_surprise
from ..law import Law
from ..noise import Noise
from ..reverse import chain_law, sampler_law, step_rows
from ..surprise import surprise
from ..world import World, small_worlds, twins, world


def four() -> World:
    """K = 2, L = 4: long enough for two blocks of two."""
    return world(2, 4, [9, 2, 1, 5, 1, 8, 4, 3, 2, 2, 7, 1, 6, 3, 1, 12])


@dataclass(frozen=True)
class Case:
    strategy: Strategy
    process: Interpolating


ONE_AT_A_TIME: dict[str, dict[str, float]] = {
    "threshold": {"threshold": 2.0},
    "led-threshold": {"threshold": 2.0},
    "factor": {"factor": 1e-12},
    "dynamic": {"threshold": 2.0},
    "entropy-bounded": {"gamma": 0.0},
}
ALL_AT_ONCE: dict[str, dict[str, float]] = {
    "threshold": {"threshold": 0.4},
    "led-threshold": {"threshold": 0.4},
    "factor": {"factor": 2.0},
    "entropy-bounded": {"gamma": 1.0},
}
"""Options of strategies that find the number of tokens themselves."""

GREEDY = {"certified"}
"""Strategies that do not sample."""


def sampling(kind: str) -> Strategy:
    """A strategy that samples at temperature 1, deciding one token at a time where it has a choice."""
    cls: Any = STRATEGIES.load(kind)
    return cls(filters=Filters(temperature=1.0), **ONE_AT_A_TIME.get(kind, {}))


def samplers() -> dict[str, Strategy]:
    return {kind: sampling(kind) for kind in STRATEGIES.kinds if kind not in GREEDY}


def one_by_one() -> dict[str, Case]:
    """Progressive strategies, each on every process that it accepts and that is masked until it is decided."""
    process = golden(four())["mask"]
    final = {kind: strategy for kind, strategy in samplers().items() if not strategy.revocable}
    return {
        kind: Case(strategy, process)
        for kind, strategy in final.items()
        if strategy.progressive and accepted(strategy, process)
    }


ORDER_BY_DRAW = {"confidence", "threshold", "led-threshold", "factor", "dynamic", "maskgit-plus"}
"""Strategies that choose positions by the probability of the token just drawn there, which favors likely texts."""


def any_order() -> dict[str, Case]:
    return {kind: case for kind, case in one_by_one().items() if kind not in ORDER_BY_DRAW}


def by_draw() -> dict[str, Case]:
    return {kind: case for kind, case in one_by_one().items() if kind in ORDER_BY_DRAW}


def decoded(case: Case, small: World, requests: int = REQUESTS, **plan: int) -> Canvas:
    """Whole texts of the exact network."""
    return finish(bayes_predictor(small, case.process), canvas(small, requests, **plan), case.strategy)


def chain_error(case: Case) -> float:
    """With the exact network, one token per step samples the language itself, in whole text and in blocks of two."""
    small = four()
    ends = decoded(case, small), decoded(case, small, block_length=2)
    return max(text_surprise(small, end, small.law) for end in ends)


def selection_error(case: Case) -> float:
    """One token per step, the one whose drawn token is most probable: the law by enumeration of all proposals."""
    small = four()
    law = torch.zeros(len(small.texts), dtype=torch.float64)
    for text, p in _by_confidence(small, case.process, (small.tokens,) * small.length, 1.0):
        law[sum(v * small.tokens ** (small.length - 1 - i) for i, v in enumerate(text))] += p
    return text_surprise(small, decoded(case, small), law)


def _by_confidence(
    small: World, process: Interpolating, z: tuple[int, ...], mass: float
) -> Iterator[tuple[tuple[int, ...], float]]:
    """Texts that confidence reaches from z (mask = K), each branch with its probability."""
    open_ = [i for i, v in enumerate(z) if v == small.tokens]
    if not open_:
        yield z, mass
        return
    p = partly_known(small, process, torch.tensor(z)).tolist()
    for proposal in product(range(small.tokens), repeat=len(open_)):
        drawn = {i: p[i][v] for i, v in zip(open_, proposal, strict=True)}
        chosen = min(open_, key=lambda i: (-drawn[i], i))
        after = (*z[:chosen], proposal[open_.index(chosen)], *z[chosen + 1 :])
        yield from _by_confidence(small, process, after, mass * math.prod(drawn.values()))


def partly_known(
    small: World, process: Interpolating, z: Tensor, head: Literal["posterior", "leave_one_out"] = "posterior"
) -> Tensor:
    """p(x_i | z) of a partly masked text, or without z_i; the time of masked positions does not matter."""
    t = torch.where(z == small.tokens, 0.5, 0.0).double()
    return BayesDenoiser(small, Noise(process), head).probabilities(z[None], t[None])[0]


def planned() -> dict[str, Case]:
    process = golden(four())["mask"]
    sampled = Filters(temperature=1.0)
    return {f"p2, eta={eta:g}": Case(P2(eta, sampled), process) for eta in (0.0, 1.0, 3.0)}


def planning_error(case: Case) -> float:
    """Four and six steps on four positions: the law by enumeration of all proposals of every step."""
    small, worst = four(), 0.0
    assert isinstance(case.strategy, P2)
    for steps in (4, 6):
        states = {(small.tokens,) * small.length: 1.0}
        for step in range(steps):
            after: dict[tuple[int, ...], float] = {}
            for z, mass in states.items():
                for reached, p in _planned(small, case.process, case.strategy.eta, z, 1 - (step + 1) / steps):
                    after[reached] = after.get(reached, 0.0) + mass * p
            states = after
        law = torch.zeros(len(small.texts), dtype=torch.float64)
        for text, p in states.items():
            law[sum(v * small.tokens ** (small.length - 1 - i) for i, v in enumerate(text))] += p
        worst = max(worst, text_surprise(small, decoded(case, small, steps=steps), law))
    return worst


def _planned(
    small: World, process: Interpolating, eta: float, z: tuple[int, ...], share: float
) -> Iterator[tuple[tuple[int, ...], float]]:
    """Where one step leads from z (mask = K), with its probability; `share` of the positions are masks after it."""
    count = math.floor(small.length * share + 1e-9)
    open_ = [i for i, v in enumerate(z) if v == small.tokens]
    if not open_:
        yield z, 1.0
        return
    p = partly_known(small, process, torch.tensor(z)).tolist()
    alone = partly_known(small, process, torch.tensor(z), "leave_one_out").tolist()
    for proposal in product(range(small.tokens), repeat=len(open_)):
        drawn = dict(zip(open_, proposal, strict=True))
        text = [drawn.get(i, v) for i, v in enumerate(z)]
        kept = {i: p[i][v] if i in drawn else alone[i][v] ** eta for i, v in enumerate(text)}
        worst = sorted((i for i in kept if i in drawn or eta > 0), key=lambda i: (kept[i], i))[:count]
        after = tuple(small.tokens if i in worst else v for i, v in enumerate(text))
        yield after, math.prod(p[i][v] for i, v in drawn.items())


def log_probability_error(case: Case) -> float:
    """Log-probabilities at commitment add up to ln P(text); NFE counts the tokens."""
    small = four()
    end = decoded(case, small)
    expected = small.law[number(small, end.ids)].log()
    wrong_nfe = float((end.nfe != small.length).any())
    return max(gap(end.commit_logp.double().sum(-1), expected), wrong_nfe)


def conditional_error(case: Case) -> float:
    """Fixed tokens stay, and the rest follows P(rest | fixed)."""
    small, text = four(), torch.tensor([1, 0, 0, 1])
    free = torch.tensor([True, False, True, False])
    begin = canvas(small, text=text, pending=free)
    given = small.law * (small.texts[:, ~free] == text[~free]).all(-1)
    return text_surprise(small, finish(bayes_predictor(small, case.process), begin, case.strategy), given / given.sum())


def all_at_once() -> dict[str, Case]:
    return {
        kind: Case(replace(case.strategy, **ALL_AT_ONCE.get(kind, {})), case.process)  # type: ignore[type-var]
        for kind, case in one_by_one().items()
        if not case.strategy.exact  # those never commit two at once
    }


def parallel_error(case: Case) -> float:
    """All tokens in one step: the product of the marginals, wrong by ½ on P(00) = P(11) = ½."""
    small = twins()
    end = decoded(replace(case, process=golden(small)["mask"]), small, steps=1)
    return text_surprise(small, end, even(4))


def ancestral() -> dict[str, Case]:
    """Strategies whose steps are those of the process on an even grid, on every process."""
    small = small_worlds()["K=2 L=3"]
    found = {}
    for kind in ("ancestral",):
        for name, process in golden(small).items():
            found[f"{kind}, {name}"] = Case(sampling(kind), process)
    return found


def ancestral_error(case: Case) -> float:
    """Four steps through the loop against the enumerated law of four steps; no mask is left."""
    small = small_worlds()["K=2 L=3"]
    grid = torch.linspace(1.0, 0.0, 5, dtype=torch.float64)
    law = sampler_law(bayes_predictor(small, case.process), small, grid)
    return text_surprise(small, decoded(case, small, 16_000, steps=4), law)


def origin() -> dict[str, Case]:
    return {"origin, mask": Case(Origin(), golden(small_worlds()["K=2 L=3"])["mask"])}


def origin_error(case: Case) -> float:
    """Four steps against the enumerated law of the process on Dream's grid, whose last step goes to 0."""
    small = small_worlds()["K=2 L=3"]
    grid = torch.linspace(1.0, 1e-3, 5, dtype=torch.float64)
    grid[-1] = 0.0
    law = sampler_law(bayes_predictor(small, case.process), small, grid)
    return text_surprise(small, decoded(case, small, 16_000, steps=4), law)


def greedy_tail() -> dict[str, Case]:
    processes = golden(small_worlds()["K=2 L=3"])
    return {f"greedy-tail, {name}": Case(GreedyTail(), process) for name, process in processes.items()}


def greedy_tail_error(case: Case) -> float:
    """Three steps as drawn, and the most probable state of every position under the transition in the fourth."""
    small = small_worlds()["K=2 L=3"]
    grid = torch.linspace(1.0, 0.0, 5, dtype=torch.float64)
    rows = step_rows(bayes_predictor(small, case.process), small, grid[:-1], grid[1:])
    rows[-1] = torch.nn.functional.one_hot(rows[-1].argmax(-1), rows.shape[-1]).double()
    return text_surprise(small, decoded(case, small, 8_000, steps=4), chain_law(case.process, small, rows))


def random_order() -> dict[str, Case]:
    return {"random": one_by_one()["random"]}


def order_error(case: Case) -> float:
    """All 24 orders of four positions are equally frequent."""
    orders = torch.tensor(list(permutations(range(4))))
    which = (decoded(case, four()).commit_step[:, None] == orders).all(-1)
    return surprise(which.long().argmax(-1), even(24))


def masked_chain() -> dict[str, Case]:
    """Strategies that follow the process, on masked noise with α = 1 − t."""
    return {name: case for name, case in ancestral().items() if name.endswith(", mask")}


def commit_time_error(case: Case) -> float:
    """Over four even steps every position is decided in each with probability ¼, whatever the network says."""
    end = decoded(case, small_worlds()["K=2 L=3"], steps=4)
    return max(surprise(steps, even(4)) for steps in end.commit_step.T)


def refusals() -> dict[str, Case]:
    """Unmasking strategies on noise without a mask."""
    process = golden(four())["uniform"]
    strategies: dict[str, Strategy] = {kind: STRATEGIES.load(kind)() for kind in STRATEGIES.kinds}
    return {kind: Case(strategy, process) for kind, strategy in strategies.items() if isinstance(strategy, Unmasking)}


def refusal_error(case: Case) -> float:
    return float(accepted(case.strategy, case.process))


def accepted(strategy: Strategy, process: Interpolating) -> bool:
    return meets(strategy.needs, process)


LAWS = (
    Law("decode/chain-rule", any_order, chain_error, 6.0),
    Law("decode/log-probability", one_by_one, log_probability_error, 1e-5),
    Law("decode/selection-by-draw", by_draw, selection_error, 6.0),
    Law("decode/path-planning", planned, planning_error, 6.0),
    Law("decode/conditional", any_order, conditional_error, 6.0),
    Law("decode/parallel", all_at_once, parallel_error, 6.0),
    Law("decode/ancestral", ancestral, ancestral_error, 6.0),
    Law("decode/origin", origin, origin_error, 6.0),
    Law("decode/greedy-tail", greedy_tail, greedy_tail_error, 6.0),
    Law("decode/commit-times", masked_chain, commit_time_error, 6.0),
    Law("decode/random-order", random_order, order_error, 6.0),
    Law("decode/refusal", refusals, refusal_error, 0.0),
)
