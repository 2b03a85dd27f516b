"""First hitting: one token per evaluation, at the times at which the reverse process itself decides them.

Under masked noise every position is decided at a time of its own: P(decided before t) = α(t)/α(0), independently of the
others and of what is predicted. With n positions undecided at t, the next time is the largest of the n: in m = 1 − α,
m ← m·u^{1/n} with u uniform, at a position drawn uniformly (Zheng et al. 2024, section 4). The same law, and no
recursion: draw m of every position once, uniform on (0, m(1)), and decide positions in descending order.

So no steps are planned and none is wasted, and there is no error of discretization: the samples' law is that of the
reverse process in continuous time, whatever the network says. For a network without time input this is decoding in
random order.
"""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...errors import UserError
from ...process.jumps import Jumps
from ...process.needs import Need, jumps_to_mask
from ...randomness import Draws
from ..canvas import Canvas
from ..proposal import Filters, Proposal
from .strategy import MASKED, Observation, Step, Unmasking, best


@dataclass(frozen=True)
class FirstHitting(Unmasking[Jumps]):
    """Exact: one position per evaluation, in the order of drawn times, which a network with time input is told."""

    filters: Filters = field(default_factory=lambda: Filters(temperature=1.0))

    exact = True
    needs = (
        *MASKED,
        Need(
            jumps_to_mask,
            "strategy 'first-hitting' needs noise whose only corruption is the mask, alike for every token: under "
            "noise with uniform tokens no position is ever decided for good before t = 0; use strategy 'ancestral'",
        ),
    )

    def __post_init__(self) -> None:
        if self.filters.temperature == 0:
            raise UserError("strategy 'first-hitting' draws from the model; temperature 0 in random order is 'random'")

    def step(self, process: Jumps, canvas: Canvas) -> Step:
        """t is the time at which the next position is decided."""
        step = super().step(process, canvas)
        share = _height(canvas).masked_fill(~(canvas.window & canvas.pending), 0.0).amax(-1)
        first, last = process.law.schedule.ends
        at = torch.where(canvas.begins < 1, process.law.schedule.alpha(canvas.begins), last)
        t = process.law.schedule.inverse((1 - share * (1 - at)).clamp(max=first))
        return replace(step, t=t, s=t)

    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        return best(seen.sites.gather(_height(seen.canvas)), seen.open, torch.ones_like(step.index), near=0.0)


def _height(canvas: Canvas) -> Float[Tensor, "R L"]:
    """m(t)/m(begin) of the time at which each position is decided: drawn once per request and position."""
    return Draws(canvas.key).stream("hitting")[:, None].at(canvas.positions).uniform()
