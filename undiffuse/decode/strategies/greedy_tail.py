"""The process's own reverse chain, with the most probable tokens at its end."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...process.needs import jumping, law_of
from ...process.process import Process
from ...process.scores import analytic
from ...types import State
from ..reverse import Reverse
from .strategy import Decision, Memory, Observation, Step
from .tweedie import carried_out


@dataclass(frozen=True)
class GreedyTail(Reverse[Process]):
    """Draws as `ancestral` does, and takes the most probable tokens in the last step of each window.

    Heuristic: less noise in the text than the model's law has. Most probable under the transition p(z_0 | z_t), which
    is p(x_i | all of z) and under uniform noise mostly keeps the token that is there; the network's raw output may be
    p(x_i | z without z_i), whose best tokens would rewrite every position from its neighbors.
    """

    exact = False
    scored = True

    def advance(self, process: Process, seen: Observation, step: Step, memory: Memory) -> Decision:
        if seen.prediction.kind == "score" and seen.prediction.mixture is None:
            t, s = step.t[:, None], step.s[:, None]
            move = analytic(law_of(process), seen.prediction, State(seen.ids), t, s)
            drawn = carried_out(self, jumping(process), seen, move, step)
        else:
            drawn = self.drawn(process, seen, step)
        posterior = seen.prediction.posterior()
        if seen.allowed is not None:
            posterior = posterior.masked_fill(~seen.allowed, -torch.inf)
        last = seen.open & (step.s <= 0)[:, None]
        best = posterior.argmax(-1)
        ids: Tensor = torch.where(last, best, drawn.ids)
        return replace(
            drawn,
            ids=ids,
            pending=drawn.pending & ~last,
            logp=torch.where(last, seen.prediction.log_prob(best), drawn.logp),
        )
