"""Processes whose tokens jump by the interpolating law: all that they do but their bound."""

from abc import abstractmethod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..randomness import Draws, draw_categorical
from ..types import Noised, State
from .law import Law, Times
from .prediction import Prediction, Spike
from .process import Process, Stepped


class Jumps(Process):
    """The verbs that a law decides, at whatever times it is looked at; the derivation is that of `law`."""

    # Facts

    @property
    @abstractmethod
    def law(self) -> Law: ...

    @property
    def mask(self) -> int | None:
        return self.law.mask

    @property
    def shows_tokens(self) -> bool:
        return self.law.spreads

    @property
    def unread_is_drawn(self) -> bool:
        return bool(self.law.destination.share(torch.ones((), dtype=torch.float64)) > 0)

    @property
    def starts_clean(self) -> bool:
        return self.steps is None and self.law.schedule.ends[0] == 1

    # Noise

    def prior(self, draws: Draws) -> State:
        return self.law.prior(draws)

    def prior_kl(self) -> float:
        return self.law.prior_kl()

    def level(self, t: Times) -> Times:
        return self.law.schedule.one_minus_alpha(t.double())

    def time_at(self, kept: Times) -> Times:
        return self.law.schedule.inverse(kept.double())

    def error_share(self, ids: Int[Tensor, " n"], t: Float[Tensor, ""], draws: Draws) -> Float[Tensor, ""]:
        at, size = self.law.marginal(t), self.vocabulary.size
        return ((size - 1) * at.real / (at.alpha + size * at.real)).nan_to_num(0.0)

    def corrupt(self, x0: Int[Tensor, "*lead"], t: Times, draws: Draws, editable: Bool[Tensor, "*lead"]) -> Noised:
        return self.law.corrupt(x0, t, draws, editable)

    def log_likelihood(self, state: State, t: Times) -> Spike:
        return self.law.log_likelihood(state, t)

    def informative(self, noised: Noised) -> Bool[Tensor, "*lead"]:
        return self.law.informative(noised)

    # Reverse step

    def reads(self, state: State, t: Times, s: Times, draws: Draws) -> Bool[Tensor, "*lead"]:
        if self.law.spreads:
            return torch.ones_like(state.ids, dtype=torch.bool)
        # at the mask the branches do not depend on what is predicted
        masses = self.law.masses(state.ids, torch.zeros_like(state.ids, dtype=torch.float64), t, s)
        return masses.branches(draws)[0] & self.law.is_mask(state.ids)

    def step(self, prediction: Prediction, state: State, t: Times, s: Times, draws: Draws) -> Stepped:
        z = state.ids
        log_x = prediction.leave_one_out()
        denoised, renoised = self.law.kernel(log_x, state, t, s).branches(draws)
        token = z.clone()
        token[denoised] = draw_categorical(log_x[denoised].exp(), draws.stream("token")[denoised])
        noise = self.law.draw_noise(self.law.destination.share(s.double()), draws.stream("noise"))
        ids = torch.where(denoised, token, torch.where(renoised, noise, z))
        return Stepped(State(ids), self.law.settled(ids, s))
