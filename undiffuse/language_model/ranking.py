"""How a causal model ranks fillings: the two numbers that bound it, and what of a call has a meaning there."""

from dataclasses import dataclass

from ..decode.caches.block import Block
from ..decode.caches.none import NoCache
from ..decode.proposal import Filters
from ..errors import UserError
from ..kinds import kind_of
from ..likelihood.candidates import CANDIDATES
from .settings import Settings

RIGHT = 64
"""Tokens after a hole that are read, where nobody says."""


@dataclass(frozen=True)
class Bounds:
    """`candidates` fillings of a hole are ranked by `right` tokens of what follows; `keep`: with keys that are kept."""

    candidates: int
    right: int
    keep: bool

    @classmethod
    def of(cls, settings: Settings) -> "Bounds":
        """UserError for an option that means nothing where fillings are ranked."""
        for given, what in _meaningless(settings):
            if given:
                raise UserError(
                    f"a causal model ranks the fillings of a blank by what follows it, and {what} means nothing "
                    "there: leave it out (temperature, samples, seed, top, candidates and right are read)"
                )
        return cls(
            CANDIDATES if settings.candidates is None else settings.candidates,
            RIGHT if settings.right is None else settings.right,
            not isinstance(settings.cache, NoCache),
        )


def _meaningless(settings: Settings) -> list[tuple[bool, str]]:
    filters = settings.strategy.filters
    chosen = [name for name in ("top_k", "top_p", "confidence") if getattr(filters, name) != getattr(Filters(), name)]
    cached = settings.cache is None or isinstance(settings.cache, Block | NoCache)
    return [
        (settings.kind != "left-to-right", f"strategy {settings.kind!r}"),
        (settings.steps is not None and not settings.limited, "a number of steps"),
        (settings.block_length is not None, "a block length"),
        (settings.guidance is not None, "guidance"),
        (settings.limits.any, "a limit on evaluations or milliseconds"),
        (bool(chosen), " and ".join(chosen)),
        (not cached, f"cache {kind_of(settings.cache)!r}" if settings.cache is not None else ""),
    ]
