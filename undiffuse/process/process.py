"""What every noise process says of itself, and what it can do.

Nobody asks a process for its class: it states facts, and `needs` says which of them a component asks for. All verbs are
elementwise over any leading shape: (B, L), (R, M) or (n,).
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..randomness import Draws
from ..types import Noised, State
from ..vocabulary import Vocabulary
from .law import Law
from .prediction import LogLik, Prediction


@dataclass(frozen=True, eq=False)
class Stepped:
    """The state after a reverse step, and the positions whose token can no longer change."""

    state: State
    final: Bool[Tensor, "*lead"]


class Process(ABC):
    """A forward noising process with its bound and its exact reverse step.

    Times are float64, broadcastable to the leading shape of the tokens; `draws` have that leading shape.
    """

    vocabulary: Vocabulary
    steps: int | None = None  # the steps of noise in discrete time, of which the bound is the sum
    files: ClassVar[tuple[str, ...]] = ()  # parameters that a recipe may give as the path of a table of numbers
    moves_vectors: ClassVar[bool] = False  # noise is added to the vectors of tokens, which stay what they are

    # Facts

    @property
    @abstractmethod
    def mask(self) -> int | None:
        """The row that noise puts in the place of a token; None where it puts none, whatever the vocabulary has."""

    @property
    @abstractmethod
    def shows_tokens(self) -> bool:
        """Whether a noisy position may show a token, or something of one; else what is seen is certain."""

    @property
    @abstractmethod
    def unread_is_drawn(self) -> bool:
        """Whether `unread` differs from draw to draw; else it is one row everywhere."""

    @property
    @abstractmethod
    def starts_clean(self) -> bool:
        """Whether noise begins at the text itself, so that nothing is left to reconstruct (never in discrete time)."""

    @property
    def law(self) -> Law | None:
        """The interpolating law by which tokens jump, where noise has one."""
        return None

    # Verbs

    def bind(self, tables: Mapping[str, Any]) -> "Process":
        """The process with the learned tables of a network (embeddings, schedules), where it has any."""
        return self

    def fitted(self, counts: Sequence[int]) -> "Process":
        """The process with what it takes from the training text, which has every row of the table so often."""
        return self

    def evenly(self) -> "Process":
        """The process with the same bound and an integrand that varies less, where it has a choice."""
        return self

    @abstractmethod
    def prior(self, draws: Draws) -> State:
        """Draw from the distribution at t = 1, one position per key."""

    def unread(self, draws: Draws) -> Int[Tensor, "*lead"]:
        """What stands at positions of which nothing is known, one per key."""
        return self.prior(draws).ids

    @abstractmethod
    def time_at(self, kept: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The time at which a token is still itself with probability `kept`, on average over the text; float64.

        UserError where noise replaces no tokens.
        """

    @abstractmethod
    def error_share(self, ids: Int[Tensor, " n"], t: Float[Tensor, ""], draws: Draws) -> Float[Tensor, ""]:
        """The expected share of wrong tokens among those that are seen at time t, of a text with these tokens.

        `draws` have the shape of the ids, for noise whose errors can only be counted.
        """

    @abstractmethod
    def level(self, t: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """The noise level that a network conditioned on time is told: 0 clean, 1 noise, one-to-one with t."""

    @abstractmethod
    def corrupt(
        self,
        x0: Int[Tensor, "*lead"],
        t: Float[Tensor, "..."],
        draws: Draws,
        editable: Bool[Tensor, "*lead"],
    ) -> Noised:
        """Draw z ~ q_t(z | x0) per position. Positions that are not editable stay clean, with t = 0."""

    def shown(
        self, state: State, t: Float[Tensor, "..."], feedback: Float[Tensor, "*lead d"] | None
    ) -> tuple[State, Float[Tensor, "..."], Float[Tensor, "*lead d"] | None]:
        """What a network is given of a state, of the times, and of its own earlier estimate."""
        return state, t, feedback

    @abstractmethod
    def informative(self, noised: Noised) -> Bool[Tensor, "*lead"]:
        """Positions whose integrand of the bound can differ from zero: only these need logits."""

    @abstractmethod
    def log_likelihood(self, state: State, t: Float[Tensor, "..."]) -> LogLik:
        """λ_v = ln q_t(z | v) per position, up to a constant over v."""

    @abstractmethod
    def bound(self, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        """Integrand ℓ_t(z, x) ≥ 0, nats per position, for t in (0, 1).

        −ln p(x) ≤ prior + ∫ E ℓ_t dt from `first` to 1 + reconstruction, summed over positions. In discrete time ℓ is
        constant within each step, and before `first` it holds the reconstruction: ∫₀¹ is diffusion and reconstruction.
        """

    @abstractmethod
    def prior_kl(self) -> float:
        """KL(q_1(· | x) ‖ prior) per token, nats; where tokens differ, of the one that has most."""

    def prior_cost(self, x0: Int[Tensor, "*lead"]) -> Float[Tensor, "*lead"]:
        """KL(q_1(· | x) ‖ prior) of each token, nats."""
        return torch.full(x0.shape, self.prior_kl(), dtype=torch.float64, device=x0.device)

    @property
    def first(self) -> float:
        """The time of the reconstruction: the end of the first step, 0 where time is continuous."""
        return 0.0 if self.steps is None else 1 / self.steps

    @abstractmethod
    def reconstruction(self, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        """−ln p(x | z) at the time `first`, nats per position; zero in expectation if α there is 1."""

    @abstractmethod
    def reads(
        self, state: State, t: Float[Tensor, "..."], s: Float[Tensor, "..."], draws: Draws
    ) -> Bool[Tensor, "*lead"]:
        """Positions whose reverse step from t to s, with these draws, depends on the prediction."""

    @abstractmethod
    def step(
        self,
        prediction: Prediction,
        state: State,
        t: Float[Tensor, "..."],
        s: Float[Tensor, "..."],
        draws: Draws,
    ) -> Stepped:
        """Draw from the exact reverse kernel p(z_s | z_t), s ≤ t, under the prediction."""

    def finish(
        self, prediction: Prediction, state: State, t: Float[Tensor, "..."], draws: Draws
    ) -> Int[Tensor, "*lead"]:
        """Draw the clean tokens from p(x | z_t): the reverse step to t = 0."""
        return self.step(prediction, state, t, torch.zeros_like(t), draws).state.ids
