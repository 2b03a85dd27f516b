"""The noise as tables: q(z | x) and q(z_t | z_s) written out, state by state.

The only inputs are α(t) and the uniform share of the corrupted mass, the two numbers that define a process; the tables
are those of the papers. A token keeps its identity with probability α; of the rest, `share` is spread over the K real
tokens and the remainder is the mask (state K). The rest is the schedule's own 1 − α (law schedule/complement): of what
is computed as 1 less α near 1, u/(1 − α) is rounding, and tables are divided by it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..process.jumps import Jumps

Times = Float[Tensor, "*t"]


@dataclass(frozen=True, eq=False)
class Noise:
    """The tables of one process. N = K + 1 states with a mask, K without."""

    process: Jumps

    @property
    def tokens(self) -> int:
        return len(self.process.vocabulary.predictable)

    @property
    def states(self) -> int:
        return self.tokens + self.process.law.destination.mask

    def marginal(self, t: Times) -> Float[Tensor, "*t K N"]:
        """q_t(z | x): row x, column z."""
        schedule, share = self.process.law.schedule, self.process.law.destination.share(t)
        alpha, rest = schedule.alpha(t), schedule.one_minus_alpha(t)
        table = torch.zeros(*t.shape, self.tokens, self.states, dtype=torch.float64)
        for x in range(self.tokens):
            for v in range(self.tokens):
                table[..., x, v] = rest * share / self.tokens
            table[..., x, x] += alpha
            if self.states > self.tokens:
                table[..., x, self.tokens] = rest * (1 - share)
        return table

    def transition(self, s: Times, t: Times) -> Float[Tensor, "*t N N"]:
        """q(z_t | z_s): row z_s, column z_t.

        The token survives with probability ρ = α_t/α_s or is redrawn from one distribution for all states; what is
        redrawn is what q_t(· | x) lacks when q_s(· | x) is carried over.
        """
        rho = (self.process.law.schedule.alpha(t) / self.process.law.schedule.alpha(s))[..., None]
        carried = self.marginal(t) - rho[..., None] * self.marginal(s)
        z = torch.arange(self.states)
        redrawn = carried[..., (z + 1) % self.tokens, z]  # read where nothing survives, so that nothing cancels
        return rho[..., None] * torch.eye(self.states, dtype=torch.float64) + redrawn[..., None, :]

    def evidence(self, z: Int[Tensor, "*lead"], t: Float[Tensor, "*lead"]) -> Float[Tensor, "*lead K"]:
        """q_t(z | v) of an observed state under each clean token v."""
        table = self.marginal(t)
        return table.gather(-1, z[..., None, None].expand(*z.shape, self.tokens, 1))[..., 0]

    def of_texts(
        self, texts: Int[Tensor, "X L"], z: Int[Tensor, "Z L"], t: Float[Tensor, "T L"]
    ) -> Float[Tensor, "T X Z"]:
        """q_t(z | x) of whole sequences, each position at its own time."""
        table = self.marginal(t)
        each = [table[:, i][:, texts[:, i]][:, :, z[:, i]] for i in range(texts.shape[1])]
        return torch.stack(each).prod(0)
