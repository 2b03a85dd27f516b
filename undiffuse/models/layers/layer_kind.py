"""What a layer of the trunk is: how it stands around its two branches, and what follows the last one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from ..conditioning import LastModulation
from ..layer import Around, Norm


@dataclass(frozen=True)
class LayerKind(ABC):
    """A kind of layer with its settings. Facts say what a trunk of such layers has besides them."""

    biases: ClassVar[bool] = False
    """Norms, the output of attention and the head's transform have a bias."""
    ends_normed: ClassVar[bool] = True
    """A norm follows the last layer."""
    adds: ClassVar[bool] = True
    """What the branches give is added to a stream as it is, so that it may be kept from pass to pass."""

    def condition(self, width: int, told: bool) -> int | None:
        """The size of the vector that the noise level becomes, of a network that is `told` it or not; None: none."""
        return None

    def embedding(self, size: int) -> nn.Module:
        """What makes that vector of the noise level."""
        raise TypeError(f"{type(self).__name__} reads no noise level")

    @abstractmethod
    def around(self, width: int, norm: Norm | None, condition: int | None) -> Around:
        """What stands around a branch."""

    def last(self, width: int, condition: int | None) -> LastModulation | None:
        """What follows the last norm."""
        return None
