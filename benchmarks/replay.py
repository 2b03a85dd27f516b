"""A decoding that repeats another one's decisions: the same tokens in the same order, at its own cost."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from undiffuse.decode.proposal import Filters, Proposal, propose
from undiffuse.decode.strategies.strategy import Decision, Memory, Observation, Step, Unmasking, best
from undiffuse.process.process import Process


@dataclass(frozen=True, eq=False)
class Replay(Unmasking):
    """Does the work of `confidence` at one token a step, and then writes what was recorded.

    `ids` and `order` (R, L) say which token each position got and in which step.
    """

    ids: Tensor
    order: Tensor
    filters: Filters = field(default_factory=Filters)

    def choose(self, look: Observation, proposal: Proposal, step: Step) -> Tensor:
        recorded = -look.sites.gather(self.order).double()
        return best(recorded, look.open, torch.ones_like(step.index))

    def advance(self, process: Process, look: Observation, step: Step, memory: Memory) -> Decision:
        proposal = propose(look.prediction, self.filters, look.draws, look.allowed, look.joint)
        chosen = self.choose(look, proposal, step) & look.open
        return Decision(chosen, look.sites.gather(self.ids), look.open & ~chosen, proposal.logp)
