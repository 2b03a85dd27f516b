"""What may be written where: a constraint excludes tokens before normalization, so output always satisfies it."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence

from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..randomness import Draws
from .canvas import Canvas
from .passes import Sites
from .proposal import Restricted


class Constraint(ABC):
    """Tokens that keep a valid completion of the canvas possible."""

    @abstractmethod
    def select(self, rows: list[int]) -> "Constraint":
        """The constraint of some of the requests, in the given order."""

    @property
    def kind(self) -> Hashable:
        """Requests whose constraints are of one kind are asked together: by default those that have the very same."""
        return self

    def join(self, others: "Sequence[Constraint]") -> "Constraint":
        """The constraint of one request, and those of others of its kind, as one of as many rows."""
        return self

    def reads(self, canvas: Canvas, wanted: Bool[Tensor, "R L"]) -> Bool[Tensor, "R L"]:
        """Where logits are needed when a strategy asks for them at some positions: also what is tied to those."""
        return wanted

    @abstractmethod
    def allowed(self, canvas: Canvas, sites: Sites) -> Bool[Tensor, "R M V"] | None:
        """Tokens that may be written at each site, given all that is decided; None where everything may."""

    def joint(
        self, canvas: Canvas, sites: Sites, log_p: Float[Tensor, "R M V"], draws: Draws | None
    ) -> Restricted | None:
        """All tokens chosen together, where a constraint can: the most probable, or a draw with keys. Else None."""
        return None

    def chained(
        self,
        canvas: Canvas,
        sites: Sites,
        log_p: Float[Tensor, "R M V"],
        put: Bool[Tensor, "R M"],
        ids: Int[Tensor, "R M"],
        logp: Float[Tensor, "R M"],
    ) -> Float[Tensor, "R M"]:
        """ln p of the tokens that are put in one step, each given the constraint and those put before it.

        `logp` is that of every site apart, which it is where sites are not tied.
        """
        return logp

    @abstractmethod
    def together(
        self, canvas: Canvas, sites: Sites, chosen: Bool[Tensor, "R M"], ids: Int[Tensor, "R M"]
    ) -> Bool[Tensor, "R M"]:
        """The part of the chosen sites that may be committed in one step; at least one per request that chose any.

        Of decided sites it is the part whose tokens may be exchanged for those in `ids`, given what is committed.
        """
