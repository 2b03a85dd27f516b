"""What must hold of every decoding strategy, ours or of another package: it ends, and writes only what it may."""

import torch

from ...decode.strategies.strategy import Strategy
from ...kinds import STRATEGIES
from ...process.needs import meets
from ..catalog import golden
from ..denoiser import bayes_predictor
from ..instruments import canvas, finish
from ..law import Law
from ..world import small_worlds, toy_a

REQUESTS = 32
Case = tuple[Strategy, str]


def every() -> dict[str, Case]:
    """Every kind with its defaults, on every golden noise that it accepts."""
    kinds: dict[str, Strategy] = {kind: STRATEGIES.load(kind)() for kind in STRATEGIES.kinds}
    return {
        f"{kind}, {name}": (strategy, name)
        for kind, strategy in kinds.items()
        for name, process in golden(toy_a()).items()
        if meets(strategy.needs, process)
    }


def ending_error(case: Case) -> float:
    """Positions left open, given tokens changed, and rows written that are no token; one token of two is given."""
    strategy, name = case
    world = small_worlds()["K=3 L=2"]
    predictor = bayes_predictor(world, golden(world)[name])
    text, pending = torch.tensor([1, 2]), torch.tensor([True, False])
    end = finish(predictor, canvas(world, REQUESTS, text=text, pending=pending, steps=2), strategy)
    wrong = end.pending | (~pending & (end.ids != world.rows[text])) | ~torch.isin(end.ids, world.rows[: world.tokens])
    return float(wrong.sum())


LAWS = (Law("strategy/ends", every, ending_error, 0.0),)
