"""Noise levels that are drawn more often where t is small, where few positions carry much of the bound.

As t → 0 a share of about t of the positions is corrupted, and the integrand there is of the order of 1/t: its mean is
finite, and its second moment, ∫ t·(1/t)² dt, is not. With a growing mask the mean rises like 1/√t besides. Few draws
without a rare large one then look too sure. With t = u²

    ∫₀¹ ℓ(t) dt = ∫₀¹ ℓ(u²) 2u du,

where the second moment is ∫ u²·(2u/u²)² du, which is finite, and a mean of 1/√t becomes one that is bounded.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ..objective.times.estimator import Cells, Estimator
from ..objective.times.shared_offset import SharedOffset
from ..process.needs import Need, continuous, jumps
from ..process.prediction import Prediction
from ..process.process import Process
from ..randomness import Draws
from ..types import Noised


@dataclass(frozen=True)
class Early(Estimator):
    """t = u², u evenly spaced with one random offset; over all noise levels only, which is what a bound takes."""

    needs = (
        Need(jumps, "times 'early' are of noise between tokens"),
        Need(continuous, "times 'early' are not those of steps of noise"),
        Need(lambda process: process.starts_clean, "times 'early' are of noise that begins at the text itself"),
    )

    def quantiles(self, cells: Cells, draws: Draws) -> Float[Tensor, "B C"]:
        return SharedOffset().quantiles(cells, draws).square()

    def integrand(self, process: Process, prediction: Prediction, noised: Noised) -> Float[Tensor, "*lead"]:
        return 2 * noised.t.sqrt() * process.bound(prediction, noised)
