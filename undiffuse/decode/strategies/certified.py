"""Parallel decoding that provably changes nothing.

Theorem (Fast-dLLM, Wu et al. 2025, theorem 1; the part on greedy decoding). Let p be a law over texts, z what is
decided, and let n undecided positions have marginals p(x_i | z) > 1 − ε at tokens x_1 … x_n. If (n + 1) ε ≤ 1, then
(x_1 … x_n) is the most probable value of these positions together, and greedy decoding of these positions one at a
time, in any order, finds it.

Proof. A union bound gives P(x_1 … x_n | z) > 1 − nε ≥ ε, and any other value misses some x_i, so has less than ε. One
at a time: once a part of the x is decided, P(part) > 1 − kε for k tokens with the next; a rival of the next token has
less than ε of that mass, and x_i more than 1 − kε ≥ 1 − nε ≥ ε.

What is assumed: (a) the predictions with different positions decided are the conditionals of *one* law. A network is
trained towards that and does not satisfy it exactly; nor do guidance, banned tokens and approximate caches keep it.
(b) Greedy means temperature 0. (c) "One at a time" decides the same positions before any other; a most-confident-first
decoder may go elsewhere in between. With ε just above 1/(n + 1) the claim is false.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...errors import UserError
from ..proposal import Filters, Proposal
from .factor import prefix, slack
from .strategy import Observation, Step, Unmasking, best

ROUNDING = 1e-6
"""What keeps the edge (n + 1) ε = 1, where the claim is false, from being decided by float32."""


@dataclass(frozen=True)
class Certified(Unmasking):
    """Each step commits as many tokens as provably come out the same one at a time, at least one; for temperature 0.

    Exact for greedy decoding of one law, heuristic as a sampler. The certificate is (n + 1) ε of the n tokens
    committed, ε = 1 − the least of their probabilities: below 1 it holds, and it is 0 for a single token. It uses the
    model's own probability, before any constraint: what the model prefers beyond doubt, it prefers among what is
    allowed.
    """

    filters: Filters = field(default_factory=Filters)

    def __post_init__(self) -> None:
        if self.filters.temperature != 0:
            raise UserError(
                f"strategy 'certified' is about greedy decoding: temperature must be 0, not {self.filters.temperature}"
            )
        if self.filters.confidence != "raw":
            raise UserError("strategy 'certified' needs confidence 'raw': filtered probabilities certify nothing")

    def choose(self, seen: Observation, proposal: Proposal, step: Step) -> Bool[Tensor, "R M"]:
        certain = _certain(seen, proposal)
        return best(certain.logit(), seen.open, prefix(slack(certain, seen.open) < 1 - ROUNDING))

    def certify(self, seen: Observation, proposal: Proposal, chosen: Bool[Tensor, "R M"]) -> Float[Tensor, " R"]:
        count = chosen.sum(-1)
        least = _certain(seen, proposal).masked_fill(~chosen, 1.0).amin(-1)
        return torch.where(count > 1, (count + 1) * (1 - least), 0.0)


def _certain(seen: Observation, proposal: Proposal) -> Float[Tensor, "R M"]:
    """The model's own probability of the proposed token, whatever is allowed."""
    return proposal.confidence if seen.allowed is None else seen.prediction.log_prob(proposal.ids).double().exp()
