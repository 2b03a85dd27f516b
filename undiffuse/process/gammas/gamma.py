"""What a noise curve is: γ(t) = ln(σ²/α²), the negative log signal-to-noise ratio of Gaussian noise at time t."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

Time = Float[Tensor, "*t"]
Pass = Callable[[Tensor], Tensor]


def unchanged(value: Tensor) -> Tensor:
    """What a curve passes its free part through when nobody asks for its gradient."""
    return value


@runtime_checkable
class Curve(Protocol):
    """An increasing γ on [0, 1]."""

    def at(self, t: Time, free: Pass = unchanged) -> tuple[Time, Time]:
        """γ(t) and its derivative, float64.

        `free` is applied to the part of a learned curve that no bound depends on, the way between its ends: a loss that
        trains that part by another gradient hooks in there.
        """
        ...


class Gamma(ABC):
    """The configuration of a curve: fixed by its numbers, or `learned` by the network."""

    learned: ClassVar[bool] = False

    @abstractmethod
    def bind(self, tables: Mapping[str, Any]) -> Curve:
        """The curve, from a network's learned tables where it needs them; UserError if the network has none."""
