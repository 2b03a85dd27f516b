"""What components ask of a process: facts, by name, and the one place where they are checked.

A strategy, an objective, a draw of times, a corrector or guidance declares `needs`. Whoever puts a component and a
process together calls `require`, before anything is computed; nothing further in asks again.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..errors import UserError
from ..kinds import kind_of
from .gaussian import Gaussian
from .jumps import Jumps
from .law import Law
from .process import Process

Fact = Callable[[Process], bool]


@dataclass(frozen=True)
class Need:
    """A fact that must hold, and what to say where it does not; `{noise}` stands for the name of the process."""

    fact: Fact
    otherwise: str


def require(needs: Iterable[Need], process: Process) -> None:
    """UserError with the message of the first need that the process does not meet."""
    for need in needs:
        if not need.fact(process):
            raise UserError(need.otherwise.replace("{noise}", kind_of(process)))


def meets(needs: Iterable[Need], process: Process) -> bool:
    """Whether a process is what the needs ask for."""
    return all(need.fact(process) for need in needs)


def has_mask(process: Process) -> bool:
    """Some tokens become the mask: `process.mask` is a row."""
    return process.mask is not None


def jumps(process: Process) -> bool:
    """Tokens jump by an interpolating law: the process is a `Jumps`."""
    return process.law is not None


def jumps_to_mask(process: Process) -> bool:
    """By an interpolating law whose only destination is the mask."""
    return process.law is not None and not process.law.spreads


def jumps_to_tokens(process: Process) -> bool:
    """By an interpolating law that makes some tokens others."""
    return process.law is not None and process.law.spreads


def jumps_to_tokens_alone(process: Process) -> bool:
    """By an interpolating law that has no mask."""
    return process.law is not None and process.law.mask is None


def jumps_one_way(process: Process) -> bool:
    """By an interpolating law with one kind of noise: the mask, or other tokens."""
    return process.law is not None and process.law.spreads == (process.law.mask is None)


def masks_by_time(process: Process) -> bool:
    """By an interpolating law in which a share t of the tokens is the mask at time t."""
    return process.law is not None and not process.law.spreads and process.law.schedule.linear


def has_ratios(process: Process) -> bool:
    """Free ratios of probabilities have a meaning: tokens jump in continuous time, to the mask or to other tokens."""
    return jumps_one_way(process) and continuous(process)


def never_pure_uniform(process: Process) -> bool:
    """Where tokens become others, something of the text is left at t = 1."""
    return process.law is None or not process.law.spreads or process.law.schedule.ends[1] > 0


def jumps_from_one_source(process: Process) -> bool:
    """By an interpolating law in which noise goes to the same places at all times."""
    return process.law is not None and process.law.constant


def continuous(process: Process) -> bool:
    """Time is no number of steps."""
    return process.steps is None


def moves_tokens(process: Process) -> bool:
    """A noisy position holds a token or the mask."""
    return not process.moves_vectors


def moves_vectors(process: Process) -> bool:
    """Noise is added to the vectors of tokens: the process is a `Gaussian`."""
    return process.moves_vectors


# What a process is once a need is known to be met


def law_of(process: Process) -> Law:
    """The law of a process that `jumps`."""
    assert process.law is not None
    return process.law


def jumping(process: Process) -> Jumps:
    """A process that `jumps`, as what it is."""
    assert isinstance(process, Jumps)
    return process


def on_vectors(process: Process) -> Gaussian:
    """A process that `moves_vectors`, as what it is."""
    assert isinstance(process, Gaussian)
    return process
