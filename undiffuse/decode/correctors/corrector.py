"""What a corrector is: a move at one time of the process that leaves its marginal p_t as it is, or closer to it.

A corrector step is one evaluation. Before it, the corrector may change what the network is asked about; after it, it
redraws from the prediction. Under noise that is the mask alone, a network says nothing about a token that it sees: what
stands there is known to be clean. So a token is hidden before it is reconsidered (`hides`), and what the network then
says is p(x_i | all but x_i) exactly. Under noise with uniform tokens leave-one-out predictions are had everywhere.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...process.jumps import Jumps
from ...process.needs import Need, jumps
from ...process.prediction import Prediction
from ...randomness import Draws


@dataclass(frozen=True, eq=False)
class Place:
    """The sites of a window at time s, which a step from t reached; what stands there, and ln p it was drawn with.

    Times are (R, 1). `draws` has one key per site; before and after the evaluation they differ.
    """

    ids: Int[Tensor, "R M"]
    live: Bool[Tensor, "R M"]
    logp: Float[Tensor, "R M"]
    t: Float[Tensor, "R 1"]
    s: Float[Tensor, "R 1"]
    draws: Draws


class Corrector(ABC):
    """`exact` correctors keep p_s under exact predictions: the sampler converges to the same law with them."""

    @property
    @abstractmethod
    def exact(self) -> bool: ...

    @property
    def needs(self) -> tuple[Need, ...]:
        """What it asks of a process."""
        return (Need(jumps, "correctors redraw tokens that jump by one law, which process '{noise}' does not have"),)

    def asked(self, t: Float[Tensor, " R"], s: Float[Tensor, " R"]) -> Float[Tensor, " R"]:
        """The time of what the network is asked about."""
        return s

    @abstractmethod
    def before(self, process: Jumps, place: Place) -> tuple[Int[Tensor, "R M"], Bool[Tensor, "R M"]]:
        """What the network is asked about, and the sites that `after` is to redraw, where that is settled already."""

    @abstractmethod
    def after(
        self, process: Jumps, place: Place, prediction: Prediction, touched: Bool[Tensor, "R M"]
    ) -> Int[Tensor, "R M"]:
        """The tokens at time s, given the network's answer; `touched` is what `before` gave."""


def hides(process: Jumps) -> bool:
    """Whether a token must be hidden before the network says anything about it."""
    return not process.shows_tokens


def hidden(process: Jumps, ids: Int[Tensor, "R M"], where: Bool[Tensor, "R M"]) -> Int[Tensor, "R M"]:
    """The tokens with masks at the given sites, if this noise asks for that."""
    if not hides(process):
        return ids
    assert process.mask is not None
    return ids.masked_fill(where, process.mask)


def real(process: Jumps, ids: Int[Tensor, "R M"]) -> Bool[Tensor, "R M"]:
    """Where a token stands, and not the mask."""
    return torch.ones_like(ids, dtype=torch.bool) if process.vocabulary.mask is None else ids != process.vocabulary.mask
