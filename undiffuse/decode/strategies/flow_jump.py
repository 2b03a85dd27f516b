"""The sampler of discrete flow matching: jump to a draw of the clean token, or stay."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...process.jumps import Jumps
from ...process.needs import Need, jumps, jumps_from_one_source
from ...randomness import draw_categorical
from ..canvas import Canvas
from ..proposal import Filters
from ..reverse import Reverse
from .strategy import Decision, Memory, Observation, Step


@dataclass(frozen=True)
class FlowJump(Reverse[Jumps]):
    """Replaces each token by a draw from p(x | z) at the rate −α'/(1 − α) of the step's beginning (flow matching).

    The path keeps x with probability α; its own rates go straight to x and stay there (Gat et al. 2024). The last step
    draws every token. Converges like `ancestral`, with an error several times as large under uniform noise.
    """

    exact = True
    guidable = False
    needs = (
        Need(
            jumps,
            "strategy 'flow-jump' jumps from token to token by one law, and the noise of this model is {noise}; use "
            "'ancestral'",
        ),
        Need(
            jumps_from_one_source,
            "strategy 'flow-jump' has one source of noise, and this model's changes; use 'ancestral'",
        ),
    )

    def chance(self, process: Jumps, t: Float[Tensor, "*lead"], s: Float[Tensor, "*lead"]) -> Tensor:
        """The probability of a jump between two times: 1 − e^{−(t − s)·rate}, and 1 where s = 0."""
        rate = process.law.schedule.weight(t)
        return torch.where(s > 0, -torch.expm1((s - t) * rate), 1.0)

    def reads(self, process: Jumps, canvas: Canvas, step: Step) -> Bool[Tensor, "R L"]:
        return canvas.window & canvas.pending & self._jumps(process, canvas.draws.stream("branch").uniform(), step)

    def _jumps(self, process: Jumps, u: Float[Tensor, "R L"], step: Step) -> Bool[Tensor, "R L"]:
        return u < self.chance(process, step.t, step.s)[:, None]

    def advance(self, process: Jumps, seen: Observation, step: Step, memory: Memory) -> Decision:
        jumps = self._jumps(process, seen.draws.stream("branch").uniform(), step) & seen.open
        log_p = seen.prediction.posterior()
        ids = seen.ids.clone()
        chosen = self.chosen(log_p[jumps], None if seen.allowed is None else seen.allowed[jumps], self.filters)
        ids[jumps] = draw_categorical(chosen.exp(), seen.draws.stream("token")[jumps])
        final = process.law.settled(ids, step.s[:, None]) & seen.open
        spot = torch.where(final, ids, process.vocabulary.predictable[0])
        return Decision(seen.open, ids, seen.open & ~final, log_p.gather(-1, spot[..., None])[..., 0])

    @staticmethod
    def chosen(log_p: Float[Tensor, "n V"], allowed: Bool[Tensor, "n V"] | None, filters: Filters) -> Tensor:
        """What tokens are drawn from: what constraints allow, after temperature and filters."""
        if allowed is not None:
            log_p = log_p.masked_fill(~allowed, -torch.inf).log_softmax(-1)
        return log_p if filters.neutral else filters.apply(log_p)
