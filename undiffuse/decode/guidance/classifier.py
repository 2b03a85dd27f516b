"""Discrete classifier guidance: a classifier of noisy text says which tokens make the condition likely.

Schiff et al. 2025 (D-CBG) weigh each token v of a reverse step by p(y | z with z_i ← v)^γ. Here the classifier
is told the time of every position: s at i, which the step has reached, and t elsewhere. Then with γ = 1 the law of the
step is exactly p(z_s,i | z_t, y), because given z_s,i the token that stood there before says nothing more about y. With
one time t for all, as published, the kernel is wrong at first order in t − s.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...predictor import Predictor
from ...process.needs import law_of
from ...process.prediction import Mix
from ..canvas import Canvas
from ..passes import Sites
from .guidance import Guidance, Law, or_else

LogProbability = Callable[
    [Int[Tensor, "B L"], Float[Tensor, "B L"], Bool[Tensor, "B L"]],
    Float[Tensor, " B"],
]
"""(ids, time of each position, which positions exist) → ln p(y | z) of each row, nats."""

CALL_ROWS = 4096
"""Texts that the classifier sees at a time."""


@dataclass(frozen=True)
class Classifier(Guidance):
    """Weighs every token by p(y | text with it)^scale: exact, a classifier call per site and token.

    The network's own law is p_u: scale 0 is off, and scale 1 draws from p(x | y) if network and classifier are exact.
    """

    log_probability: LogProbability = field(kw_only=True)

    def mix(
        self,
        predictor: Predictor,
        canvas: Canvas,
        sites: Sites,
        t: Float[Tensor, "R L"],
        s: Float[Tensor, "R M"],
    ) -> Mix:
        if not self.scale:
            return lambda laws: laws[0]
        gain: Tensor | None = None
        for part, value in self._asked(predictor, canvas, sites, t, s):
            if gain is None:  # of the classifier's type
                gain = value.new_zeros(*sites.index.shape, predictor.process.vocabulary.rows)
            gain[part] = value
        assert gain is not None
        weight = self.scale * gain
        return lambda laws: weighed(laws[0], weight)

    def _asked(
        self, predictor: Predictor, canvas: Canvas, sites: Sites, t: Tensor, s: Tensor
    ) -> Iterator[tuple[tuple[Tensor, Tensor, Tensor], Tensor]]:
        """ln p(y | z with one token changed), for each live site and state, and where it belongs."""
        states = law_of(predictor.process).states.to(t.device)
        request, site = sites.live.nonzero(as_tuple=True)
        for pair in torch.arange(len(request) * len(states), device=t.device).split(CALL_ROWS):
            r, m = request[pair // len(states)], site[pair // len(states)]
            v, row = states[pair % len(states)], torch.arange(len(pair), device=t.device)
            ids, times = canvas.ids[r], t[r]
            ids[row, sites.index[r, m]] = v
            times[row, sites.index[r, m]] = s[r, m].to(times.dtype)
            yield (r, m, v), self.log_probability(ids, times, canvas.valid[r])


def weighed(law: Law, log_weight: Law) -> Law:
    """ln p + log-weights; a token that either excludes is excluded, unless that leaves none."""
    return or_else(torch.where(law == -torch.inf, -torch.inf, law + log_weight.to(law.dtype)), law)
