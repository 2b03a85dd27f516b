"""Masks that take rare tokens first: every token has a keep probability of its own (DiffusionBERT's spindle).

Derivation, in the order of the code. v is a token, c_v how often the training text has it.

1  Schedule.  f_v = ln(1 + c_v)/max_u ln(1 + c_u), f̃_v = f_v − (mean of f over the training text), and

                  α_v(t) = 1 − t + λ sin(πt) f̃_v,   1 − α_v = t (1 − λπ f̃_v sin(πt)/(πt)),

              decreasing from 1 to 0 for every v while λπ ≤ 1: frequent tokens are masked late, so generated early
              (DiffusionBERT, He et al. 2022). Its code takes the mean over the sequence at hand, which a
              reverse step cannot know; with the mean over the text the noise of a token depends on that token alone,
              and there is a bound.
2  Evidence.  A mask is the likelier the rarer the token: q_t(mask | v) = 1 − α_v(t), and leave-one-out and posterior
              differ at masks. So the optimum depends on t, unlike that of plain masks.
3  Bound.     The true reverse rate from the mask to x is w_x, w_v = −α'_v/(1 − α_v); the model's to v is w_v p_v with
              p its posterior. Their path-space KL (of Poisson rates; GenMD4, Shi et al. 2024) is

                  ℓ_t = Σ_v w_v p_v − w_x − w_x ln p_x ≥ 0   at masks, 0 elsewhere; −ln p(x) ≤ ∫₀¹ E ℓ_t dt.

              With λ = 0 it is the masked bound −(1/t) ln p_x.
4  Reverse.   Of v ~ p, z_s = v with probability 1 − (1 − α_v(s))/(1 − α_v(t)), else it stays the mask.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..randomness import Draws, draw_categorical
from ..types import Noised, State
from ..vocabulary import Vocabulary
from .prediction import Columns, Prediction
from .process import Process, Stepped

Times = Float[Tensor, "..."]


@dataclass(frozen=True)
class Spindle(Process):
    """Masked noise that keeps frequent tokens longer, by `strength` λ (DiffusionBERT).

    `counts` says how often the training text has each real token, in the order of ids; a run counts them itself.
    Without counts all tokens are alike.
    """

    vocabulary: Vocabulary
    strength: float = 0.3
    counts: Sequence[int] | None = None

    def __post_init__(self) -> None:
        if self.vocabulary.mask is None:
            raise ValueError("process 'spindle' needs a mask, and the vocabulary has none")
        if not 0 <= self.strength <= 1 / math.pi:
            raise ValueError(f"strength must lie in [0, 1/π = 0.318], or tokens would be unmasked, not {self.strength}")
        if self.counts is not None:
            object.__setattr__(self, "counts", tuple(self.counts))
            if len(self.counts) != self.vocabulary.size or min(self.counts) < 0 or not any(self.counts):
                raise ValueError(f"counts must hold a number for each of the {self.vocabulary.size} real tokens")

    def fitted(self, counts: Sequence[int]) -> "Spindle":
        if self.counts is not None:
            return self
        return replace(self, counts=tuple(counts[row] for row in self.vocabulary.predictable))

    # Facts

    @property
    def mask(self) -> int:
        assert self.vocabulary.mask is not None
        return self.vocabulary.mask

    @property
    def shows_tokens(self) -> bool:
        return False

    @property
    def unread_is_drawn(self) -> bool:
        return False

    @property
    def starts_clean(self) -> bool:
        return True

    # 1 Schedule

    @cached_property
    def _bend(self) -> Float[Tensor, " V"]:
        """λπ f̃ of every row of the table, 0 at rows that are no token."""
        bend = torch.zeros(self.vocabulary.rows, dtype=torch.float64)
        if self.counts is None:
            return bend
        counts = torch.tensor(self.counts, dtype=torch.float64)
        f = counts.log1p() / counts.log1p().max()
        mean = (counts * f).sum() / counts.sum()
        return bend.index_copy(0, torch.tensor(self.vocabulary.predictable), self.strength * math.pi * (f - mean))

    def bend(self, ids: Int[Tensor, "*lead"]) -> Float[Tensor, "*lead"]:
        """λπ f̃ of some tokens."""
        return self._bend.to(ids.device)[ids]

    @staticmethod
    def share(bend: Float[Tensor, "..."], t: Times) -> Float[Tensor, "..."]:
        """(1 − α(t))/t, accurate at both ends."""
        return 1 - bend * torch.sinc(t)

    @staticmethod
    def slope(bend: Float[Tensor, "..."], t: Times) -> Float[Tensor, "..."]:
        """−α'(t)."""
        return 1 - bend * torch.cos(math.pi * t)

    def level(self, t: Times) -> Times:
        return t.double()

    def time_at(self, kept: Times) -> Times:
        """The mean of f̃ over the text is 0, so that of α_v is 1 − t."""
        return 1 - kept.double()

    def error_share(self, ids: Int[Tensor, " n"], t: Float[Tensor, ""], draws: Draws) -> Float[Tensor, ""]:
        return torch.zeros_like(t)

    def corrupt(self, x0: Int[Tensor, "*lead"], t: Times, draws: Draws, editable: Bool[Tensor, "*lead"]) -> Noised:
        # fixed text is clean, but for masks: they stand for a prompt that is not shown
        t = torch.where(editable, t.double(), (x0 == self.mask).double())
        masked = (draws.stream("corrupt").uniform() < t * self.share(self.bend(x0), t)) & editable
        return Noised(x0, State(x0.masked_fill(masked, self.mask)), t, editable)

    def prior(self, draws: Draws) -> State:
        return State(torch.full(draws.key.shape, self.mask, device=draws.key.device))

    # 2 Evidence

    def log_likelihood(self, state: State, t: Times) -> Columns:
        ids, bend, fade = state.ids[..., None], self._bend.to(state.ids.device), torch.sinc(t.double())[..., None]

        def logs(dtype: torch.dtype) -> Tensor:
            of_mask = (-bend.to(dtype) * fade.to(dtype)).log1p().expand(*state.ids.shape, -1)
            of_token = torch.full_like(of_mask, -torch.inf).scatter(-1, ids, 0.0)
            return torch.where(ids == self.mask, of_mask, of_token)

        return Columns(logs)

    # 3 Bound

    def informative(self, noised: Noised) -> Bool[Tensor, "*lead"]:
        return noised.editable & (noised.state.ids == self.mask)

    def bound(self, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        open_ = self.informative(noised)
        t = torch.where(open_, noised.t.double(), 0.5)
        log_p = prediction.posterior()
        own = self.bend(noised.x0)
        of_x = self.slope(own, t) / self.share(own, t)
        # t w_v − 1 of every row: what all have in common would cancel, and takes the precision of small times with it
        every, fade = self._bend.to(t.device, log_p.dtype), torch.sinc(t)
        turn = (fade - torch.cos(math.pi * t))[..., None].to(log_p.dtype)
        columns = every * turn / self.share(every, t[..., None].to(log_p.dtype))
        mean = 1 + (columns * log_p.exp()).sum(-1).double()
        log_p_x = log_p.gather(-1, noised.x0[..., None])[..., 0].double()
        return torch.where(open_, (mean - of_x - of_x * log_p_x) / t, 0.0)

    def prior_kl(self) -> float:
        return 0.0

    def reconstruction(self, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        """Nothing: noise begins at the clean text."""
        return torch.zeros_like(noised.t)

    # 4 Reverse step

    def reads(self, state: State, t: Times, s: Times, draws: Draws) -> Bool[Tensor, "*lead"]:
        return state.ids == self.mask

    def step(self, prediction: Prediction, state: State, t: Times, s: Times, draws: Draws) -> Stepped:
        masked = state.ids == self.mask
        v = draw_categorical(prediction.posterior().exp(), draws.stream("token"))
        t, s, bend = t.double(), s.double(), self.bend(v)
        stays = s * self.share(bend, s) / (t * self.share(bend, t))
        opened = masked & (draws.stream("branch").uniform() >= stays)
        ids = torch.where(opened, v, state.ids)
        return Stepped(State(ids), ids != self.mask)
