"""What a law is: a name, the components it holds for, how far each is from it, and how far is allowed.

A tolerance holds on every processor, whatever the order in which its kernels add. It is one of these:

1  Rounding. u times the condition of what is computed: where an error comes within a factor of 30 of it, a comment
             beside the law says why it is not less, and what bounds it.
2  Digits.   Half of the last digit of a printed number. What is computed for it is off by 1e-9 of a digit, so that an
             error of 0.499 is as good as one of 0.1: it is how the number was rounded.
3  Draws.    4.5 standard errors, or a surprise of 6. Draws are hashes of counters, the same everywhere; rounding moves
             one of thousands at most.
4  Limits.   What a quadrature, a difference or a finite number of steps leaves out: numbers that differ by 1e-12 from
             one processor to another, and are far larger.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Result:
    """How far one component is from one law. NaN fails."""

    law: str
    component: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance

    def record(self) -> dict[str, object]:
        """The JSON form of `undiffuse verify --json`."""
        return {
            "law": self.law,
            "component": self.component,
            "error": self.error,
            "tolerance": self.tolerance,
            "passed": self.passed,
        }


@dataclass(frozen=True)
class Law:
    """`error(case)` is the worst deviation over everything the case enumerates; it must not exceed `tolerance`.

    `cases` builds the components by name when the law is checked, so that a new file of a family is covered without
    being told.
    """

    name: str
    cases: Callable[[], Mapping[str, Any]]
    error: Callable[[Any], float]
    tolerance: float

    def check(self, wanted: Callable[[str, str], bool]) -> Iterator[Result]:
        """Results of the components for which `wanted(law, component)` is true."""
        for component, case in self.cases().items():
            if wanted(self.name, component):
                yield Result(self.name, component, float(self.error(case)), self.tolerance)


ROUNDING = 2.0**-53
"""u: the relative error of one rounding in float64."""
LAST_DIGIT = 0.5 + 1e-6
"""Tolerance of a comparison with a printed number, in units of its last digit."""


def in_last_digits(value: float, printed: str) -> float:
    """Distance from a printed number in units of its last digit: at most ½ if the number was rounded correctly."""
    return abs(value - float(printed)) * 10.0 ** len(printed.partition(".")[2])
