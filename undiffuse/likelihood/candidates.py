"""One token between two sides, by a causal network: candidates from the left, ranked by what follows them.

By Bayes p(x | left, right) ∝ p(x | left) · p(right | left, x), both factors exact (`continuations.py`). The sum over
the whole vocabulary would take a row of the network for each of its tokens, so the best from the left are compared, and
normalized among themselves.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import UserError
from ..predictor import Predictor
from .continuations import Stem

CANDIDATES = 64
"""How many are compared, where nobody says."""


@torch.no_grad()
def tokens_between(
    predictor: Predictor, left: Sequence[int], right: Sequence[int], candidates: int = CANDIDATES
) -> tuple[Int[Tensor, " K"], Float[Tensor, " K"]]:
    """The best `candidates` from the left, and ln p(token | left, right, it is one of them).

    UserError where nothing stands on the left of a network that has no start of its own.
    """
    refuse_nothing_before(predictor, len(left))
    stem = Stem.of(predictor, left)
    place = torch.tensor([len(left)], device=stem.ids.device)
    best = stem.log_p(place)[0].topk(min(candidates, predictor.process.vocabulary.size))
    rows = stem.leave(place.expand(len(best.indices)), told=True).put(best.indices)
    after = rows.scores([right] * len(rows))
    return best.indices, (best.values.double() + after).log_softmax(-1)


def refuse_nothing_before(predictor: Predictor, tokens: int) -> None:
    """UserError for a first token that is a condition, of which nothing speaks."""
    if predictor.traits.first_given and not tokens:
        raise UserError(
            "this network predicts from what stands before, and nothing stands before the first token: give a prompt, "
            "of one token at least"
        )
