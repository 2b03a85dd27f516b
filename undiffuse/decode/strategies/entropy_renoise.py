"""Uniform noise decoded by entropy: keep what is certain, draw everything else anew (DiffusionGemma).

Each step draws a candidate at every position from softmax(logits/T) and sorts the positions by that distribution's
entropy H. Position i is accepted while the entropies *before* it add up to the bound at most, Σ_{j before i} H_j ≤
`entropy_bound`, so at least one always is. Accepted positions hold their candidate, all others fresh uniform tokens;
the next step decides anew about all. T falls linearly with the steps that remain, from the temperature to `cold`.

It ends when the most probable tokens were the same for `stability` more steps and the mean entropy is below `settled`,
or when the steps are used up; what is emitted is the most probable text of the last evaluation, not the canvas.
"""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...errors import UserError
from ...process.needs import Need, jumps_to_tokens_alone
from ...process.prediction import Prediction
from ...process.process import Process
from ...ranking import ordered
from ..canvas import Canvas
from ..proposal import Filters, propose
from .strategy import Decision, Memory, Observation, Step, Strategy, among


@dataclass(frozen=True)
class EntropyRenoise(Strategy):
    """Heuristic: positions stay pending until the window ends, then all are committed at once.

    `settled` is in nats per token, `entropy_bound` in nats; entropies are of the distribution that candidates are drawn
    from, or of the model's own at confidence 'raw'. The network is told the times of the even grid, although the share
    of accepted tokens does not follow it, and one that reads its own last prediction that of the tempered distribution.
    A window takes at most `longest` steps, where nobody asks for another number.
    """

    entropy_bound: float = 0.1
    cold: float = 0.4
    settled: float = 0.005
    stability: int = 1
    longest: int = 48
    filters: Filters = field(default_factory=lambda: Filters(temperature=0.8, confidence="filtered"))

    exact = False
    progressive = False
    needs = (
        Need(
            jumps_to_tokens_alone,
            "strategy 'entropy-renoise' redraws uniform tokens, and this model's noise puts a mask; use 'remdm' "
            "or 'wino', which take tokens back to the mask",
        ),
    )

    def __post_init__(self) -> None:
        if not self.entropy_bound >= 0:
            raise UserError(
                f"entropy_bound must be 0 or more, not {self.entropy_bound}; 0 accepts one position per step"
            )
        if not 0 < self.cold <= self.filters.temperature:
            raise UserError(
                f"strategy 'entropy-renoise' cools from the temperature to cold: 0 < cold ≤ temperature, not "
                f"{self.cold} and {self.filters.temperature}"
            )
        if not self.settled > 0:
            raise UserError(f"settled must be positive, not {self.settled}; 0.005 nats per token is usual")
        if self.stability < 1:
            raise UserError(f"stability must be at least 1, not {self.stability}: it counts steps without a change")
        if self.longest < 1:
            raise UserError(f"longest must be at least 1 step, not {self.longest}; 48 are usual")

    def planned(self, sizes: Int[Tensor, " W"]) -> Int[Tensor, " W"]:
        return sizes.clamp(max=self.longest)

    def begin(self, process: Process, canvas: Canvas) -> Memory:
        return {"best": torch.full_like(canvas.ids, -1), "stable": torch.zeros_like(canvas.key)}

    def accepted(self, entropy: Float[Tensor, "R M"], candidates: Bool[Tensor, "R M"]) -> Bool[Tensor, "R M"]:
        """cumsum(sorted H) − H ≤ bound; the lowest position first among near-equal ones."""
        order = ordered(among(-entropy, candidates))
        summed = entropy.masked_fill(~candidates, torch.inf).gather(1, order).cumsum(-1)
        before = torch.nn.functional.pad(summed[:, :-1], (1, 0))
        return torch.zeros_like(candidates).scatter(-1, order, before <= self.entropy_bound) & candidates

    def advance(self, process: Process, seen: Observation, step: Step, memory: Memory) -> Decision:
        remaining = (step.planned - step.index) / step.planned
        temperature = self.cold + (self.filters.temperature - self.cold) * remaining
        tempered = Prediction(
            seen.prediction.posterior() / temperature[:, None, None].float(), "posterior", seen.prediction.evidence
        )
        drawn = propose(tempered, replace(self.filters, temperature=1.0), seen.draws, seen.allowed, seen.joint)
        best = propose(seen.prediction, Filters(), seen.draws, seen.allowed, seen.joint)

        accept = self.accepted(drawn.entropy.double(), seen.open)
        fresh = process.prior(seen.draws.stream("renoise")).ids
        count = seen.open.sum(-1).clamp(min=1)
        mean = (drawn.entropy * seen.open).sum(-1) / count
        same = ((best.ids == seen.sites.gather(memory["best"])) | ~seen.open).all(-1)
        stable = torch.where(same, memory["stable"] + 1, 0)
        last = (step.index + 1 >= step.planned) | ((stable >= self.stability) & (mean < self.settled))
        ends = last[:, None] & seen.open
        ids = torch.where(ends, best.ids, torch.where(accept, drawn.ids, fresh))
        return Decision(
            seen.open,
            ids,
            seen.open & ~ends,
            best.logp,
            {"best": seen.sites.scatter(best.ids, memory["best"]), "stable": stable},
            belief=tempered.logits,
        )
