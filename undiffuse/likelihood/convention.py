"""How papers count: likelihoods over part of the noise levels without their ends, for comparison with what they print.

Every one of these codes averages the integrand of its bound over times in [low, high] and prints e to that average as
perplexity. Prior and reconstruction are left out, and so is what the rest of the times would add: none is a bound.
Log-linear noise is α = 1 − (1 − ε) t with ε = 1e-3, so that the text is never quite gone; in our time, where
α = 1 − t, theirs runs to 1 − ε.
"""

from dataclasses import dataclass

from ..errors import UserError, did_you_mean
from ..predictor import Predictor
from ..process.needs import continuous, jumps, law_of


@dataclass(frozen=True)
class Convention:
    """Times in [low, high]; `kept` is α(1) of the code's log-linear noise."""

    name: str
    low: float
    high: float
    kept: float

    @property
    def label(self) -> str:
        """What must stand beside every number."""
        return f"{self.name} convention: t in [{self.low:g}, {self.high:g}], no prior, no reconstruction"

    def range(self, predictor: Predictor) -> tuple[tuple[float, float], float]:
        """Our times, and the factor from their mean to that of the code's; UserError where they have no meaning."""
        process = predictor.process
        if predictor.traits.one_sided or not (jumps(process) and continuous(process)):
            raise UserError(
                f"the {self.name} convention cuts the times of noise between tokens, which this model does not have; "
                "leave out --as"
            )
        scale = 1 - self.kept if law_of(process).schedule.linear else 1.0
        return (scale * self.low, scale * self.high), scale


CONVENTIONS = {
    convention.name: convention
    for convention in (
        Convention("sedd", 1e-3, 1.0, 1e-3),
        Convention("duo", 1e-3, 1.0, 1e-3),
        Convention("gidd", 1e-4, 1 - 1e-4, 0.0),
        Convention("mdlm", 1e-3, 1.0, 1e-3),
    )
}


def convention_of(name: str) -> Convention:
    """UserError with the nearest name when there is none."""
    if name not in CONVENTIONS:
        raise UserError(f"there is no convention {name!r}{did_you_mean(name, CONVENTIONS)}")
    return CONVENTIONS[name]
