"""For a time-free network the masked bound is the any-order autoregressive likelihood."""

from itertools import combinations, permutations

import torch
from torch import Tensor

from ...predictor import Predictor
from ...types import State, Tags
from ..law import Law
from ..scoring import one_text, predictors, three
from ..world import World


def any_order_error(predictor: Predictor) -> float:
    """Quadrature over time = all subsets with weight L/l = the mean over all L! orders of the chain rule."""
    world, worst = three(), 0.0
    for text in world.texts:
        everything = (True,) * world.length
        over_time = one_text(predictor, tuple(text.tolist()), everything, 0.0)
        counts = _equal_count(predictor, world, text)
        orders = list(permutations(range(world.length)))
        chain = sum(_chain(predictor, world, text, order) for order in orders) / len(orders)
        worst = max(worst, abs(over_time - chain), abs(counts - chain))
    return worst


def _equal_count(predictor: Predictor, world: World, text: Tensor) -> float:
    length, total = world.length, 0.0
    for count in range(1, length + 1):
        subsets = list(combinations(range(length), count))
        for hidden in subsets:
            nats = _nats(predictor, world, text, set(hidden))
            total += sum(nats[i] for i in hidden) / count / len(subsets)
    return total


def _chain(predictor: Predictor, world: World, text: Tensor, order: tuple[int, ...]) -> float:
    hidden, total = set(order), 0.0
    for i in order:
        total += _nats(predictor, world, text, hidden)[i]
        hidden = hidden - {i}
    return total


def _nats(predictor: Predictor, world: World, text: Tensor, hidden: set[int]) -> list[float]:
    """−ln p(x_i | the rest as it is, `hidden` masked) at every position."""
    z = text.clone()
    z[list(hidden)] = world.tokens
    ids = world.rows[z][None]
    t, everywhere = torch.full(ids.shape, 0.5, dtype=torch.float64), torch.ones_like(ids, dtype=torch.bool)
    hidden_states = predictor.run(predictor.rows(State(ids), t, Tags(torch.arange(world.length)[None]), everywhere))
    log_p = predictor.read(hidden_states, State(ids), t).logits.log_softmax(-1)[0]
    return [-log_p[i, world.rows[text[i]]].item() for i in range(world.length)]


def time_free() -> dict[str, Predictor]:
    return {name: predictor for name, predictor in predictors().items() if "level" not in predictor.traits.takes}


LAWS = (Law("estimator/any-order", time_free, any_order_error, 1e-9),)
