"""What a noise schedule is: α(t), the probability that a token is still itself at time t."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

Time = Float[Tensor, "*t"]


class Schedule(ABC):
    """α(t) on [0, 1], decreasing, with the forms that stay accurate at both ends.

    Every method takes and returns float64 of any shape. Laws (checked for each schedule): α' is the derivative of α;
    `inverse` inverts it; ∫ w(t)(1 − α(t)) dt = α(0) − α(1), which is 1 where nothing is kept at t = 1.
    """

    linear: ClassVar[bool] = False  # α = 1 − t

    @abstractmethod
    def alpha(self, t: Time) -> Time:
        """α(t), accurate where it is near 0."""

    @abstractmethod
    def one_minus_alpha(self, t: Time) -> Time:
        """1 − α(t), accurate where it is near 0."""

    @abstractmethod
    def derivative(self, t: Time) -> Time:
        """α'(t) ≤ 0."""

    @abstractmethod
    def inverse(self, alpha: Time) -> Time:
        """t with α(t) = alpha."""

    def weight(self, t: Time) -> Time:
        """w(t) = −α'(t) / (1 − α(t)), the weight of masked cross-entropy in the bound (MDLM eq. 10, MD4 eq. 9)."""
        return -self.derivative(t) / self.one_minus_alpha(t)

    @property
    def ends(self) -> tuple[float, float]:
        """α(0) and α(1)."""
        start, end = self.alpha(torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
        return start, end
