"""How often Ψ steps renew a token: the share κ of plain reverse steps, one object for each way (`psi` has the law)."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import UserError
from ..process.law import Law

Times = Float[Tensor, "*lead"]


class Share(ABC):
    """κ of a step; `option` names the number of `psi` that it takes."""

    option: ClassVar[str]
    exact: ClassVar[bool] = False

    @abstractmethod
    def kept(self, law: Law, t: Times, s: Times, planned: Tensor | int) -> Times:
        """κ of a step from t to s, one of `planned`."""


def _probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UserError(f"{name} of 'psi' is in [0, 1], not {value}")


@dataclass(frozen=True)
class Constant(Share):
    """κ itself."""

    kappa: float = 0.95

    option = "kappa"

    def __post_init__(self) -> None:
        _probability("kappa", self.kappa)

    def kept(self, law: Law, t: Times, s: Times, planned: Tensor | int) -> Times:
        return torch.full_like(t, self.kappa)


@dataclass(frozen=True)
class Shrinking(Share):
    """1 − min(1, churn/steps): each token is renewed `churn` times in the mean, however many steps there are."""

    churn: float = 2.0

    option = "churn"
    exact = True

    def __post_init__(self) -> None:
        if not self.churn >= 0:
            raise UserError(f"churn of 'psi' is not negative, not {self.churn}")

    def kept(self, law: Law, t: Times, s: Times, planned: Tensor | int) -> Times:
        return 1 - (torch.zeros_like(t) + self.churn / planned).clamp(max=1.0)


@dataclass(frozen=True)
class Remasked(Share):
    """1 − σ/(1 − α_s), as ReMDM takes tokens back."""

    eta: float = 0.02

    option = "eta"

    def __post_init__(self) -> None:
        _probability("eta", self.eta)

    @abstractmethod
    def taken(self, most: Times) -> Times:
        """σ, of σ_max."""

    def kept(self, law: Law, t: Times, s: Times, planned: Tensor | int) -> Times:
        alpha, corrupted = law.marginal(t).alpha, law.arrival(s).corrupted
        most = torch.where(alpha > 0, corrupted / alpha, 1.0).clamp(max=1.0)
        taken = self.taken(most)
        return torch.where(corrupted > 0, 1 - taken / corrupted, 1.0).clamp(0.0, 1.0)


@dataclass(frozen=True)
class Cap(Remasked):
    """σ = min(η, σ_max)."""

    def taken(self, most: Times) -> Times:
        return most.clamp(max=self.eta)


@dataclass(frozen=True)
class Rescale(Remasked):
    """σ = η σ_max."""

    def taken(self, most: Times) -> Times:
        return self.eta * most
