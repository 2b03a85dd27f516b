"""What may be written where: a constraint excludes tokens before normalization, so output always satisfies it."""

from abc import ABC, abstractmethod

from jaxtyping import Bool, Int
from torch import Tensor

from .canvas import Canvas
from .look import Sites


class Constraint(ABC):
    """Tokens that keep a valid completion of the canvas possible."""

    @abstractmethod
    def allowed(self, canvas: Canvas, sites: Sites) -> Bool[Tensor, "R M V"] | None:
        """Tokens that may be written at each site, given all that is decided; None where everything may."""

    @abstractmethod
    def together(
        self, canvas: Canvas, sites: Sites, chosen: Bool[Tensor, "R M"], ids: Int[Tensor, "R M"]
    ) -> Bool[Tensor, "R M"]:
        """The part of the chosen sites that may be committed in one step; at least one per request that chose any."""
