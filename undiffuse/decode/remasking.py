"""How much of a masked text ReMDM takes back in a step: its published ways, one object each (`remdm` has the law)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..errors import UserError
from ..process.law import Law


@dataclass(frozen=True, eq=False)
class Move:
    """A step from t to s, (R,): the most that may be taken back, α_t, whether the clock stands, and the text (R, L).

    `forward` is the probability with which the process itself reveals a mask, `logp` with what each token was drawn.
    """

    most: Float[Tensor, " R"]
    alpha: Float[Tensor, " R"]
    forward: Float[Tensor, " R"]
    stands: Bool[Tensor, " R"]
    masks: Bool[Tensor, "R L"]
    tokens: Bool[Tensor, "R L"]
    logp: Float[Tensor, "R L"]


class Remasking(ABC):
    """Probabilities of remasking and of revealing; `exact` if the marginals of the process are kept."""

    exact: ClassVar[bool]

    def clock(self, law: Law, t: Float[Tensor, " R"]) -> Float[Tensor, " R"]:
        """The process's time at each time of the grid."""
        return t

    @abstractmethod
    def rates(self, move: Move) -> tuple[Float[Tensor, "R L"], Float[Tensor, "R L"]]:
        """Per position, the probability that a token becomes a mask, and that a mask becomes a token."""


@dataclass(frozen=True)
class Even(Remasking):
    """Every token with the same probability σ; what that takes back, as many more masks make up for."""

    eta: float

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise UserError(f"eta must lie in [0, 1], not {self.eta}; it is the probability of remasking in one step")

    @abstractmethod
    def sigma(self, move: Move) -> Float[Tensor, " R"]:
        """σ of each request."""

    def rates(self, move: Move) -> tuple[Float[Tensor, "R L"], Float[Tensor, "R L"]]:
        sigma = self.sigma(move)
        makes_up = torch.where(move.alpha < 1, sigma * move.alpha / (1 - move.alpha), 0.0)
        reveal = move.forward + makes_up
        return sigma[:, None].expand(move.masks.shape), reveal[:, None].expand(move.masks.shape)


@dataclass(frozen=True)
class Cap(Even):
    """σ = min(η, σ_max)."""

    exact = True

    def sigma(self, move: Move) -> Float[Tensor, " R"]:
        return move.most.clamp(max=self.eta)


@dataclass(frozen=True)
class Rescale(Even):
    """σ = η σ_max."""

    exact = True

    def sigma(self, move: Move) -> Float[Tensor, " R"]:
        return self.eta * move.most


@dataclass(frozen=True)
class Loop(Even):
    """σ = min(η, σ_max) while the clock stands at α = `plateau`, from t = `on` to `off`; else 0."""

    on: float
    off: float
    plateau: float

    exact = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.off < self.on < 1:
            raise UserError(f"mode 'loop' of 'remdm' needs 0 ≤ off < on < 1, not off {self.off} and on {self.on}")
        if not 0 < self.plateau < 1:
            raise UserError(f"plateau must lie in (0, 1), not {self.plateau}; 0.9 keeps a tenth of the text masked")

    def clock(self, law: Law, t: Float[Tensor, " R"]) -> Float[Tensor, " R"]:
        """In three straight parts."""
        stand = law.schedule.inverse(torch.full_like(t, self.plateau))
        falling = 1 - (1 - t) / (1 - self.on) * (1 - stand)
        ending = t / self.off * stand if self.off else torch.zeros_like(t)
        ending = torch.where(t <= 0, 0.0, ending)
        return torch.where(t > self.on, falling, torch.where((t >= self.off) & (t > 0), stand, ending))

    def sigma(self, move: Move) -> Float[Tensor, " R"]:
        return torch.where(move.stands, move.most.clamp(max=self.eta), 0.0)


@dataclass(frozen=True)
class Confidence(Remasking):
    """σ_max shared out over the tokens by softmax(−ψ), ψ the probability with which each was drawn."""

    exact = False

    def rates(self, move: Move) -> tuple[Float[Tensor, "R L"], Float[Tensor, "R L"]]:
        left, taken = move.masks.sum(-1), move.tokens.any(-1)
        most = torch.minimum(move.most, left * (1 - move.forward)) * taken
        psi = move.logp.double().exp().masked_fill(~move.tokens, torch.inf)
        share = torch.where(taken[:, None], (-psi).softmax(-1), 0.0)
        reveal = move.forward + most / left.clamp(min=1)
        return most[:, None] * share, reveal[:, None].expand(share.shape)
