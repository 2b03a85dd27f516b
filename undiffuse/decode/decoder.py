"""How requests are decoded: everything but their texts."""

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace

from ..errors import UserError
from ..predictor import Predictor
from ..process.needs import jumps_to_mask, require
from ..process.process import Process
from .caches.cache import CachePolicy
from .caches.none import NoCache
from .canvas import Canvas
from .constraint import Constraint
from .guidance.guidance import Guidance
from .strategies.strategy import Strategy


@dataclass(frozen=True)
class Limits:
    """What ends a request with the best complete text: network evaluations, and milliseconds.

    Time counts from the moment the request begins; `clock` gives seconds.
    """

    max_nfe: int | None = None
    deadline_ms: float | None = None
    clock: Callable[[], float] = field(default=time.monotonic, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.max_nfe is not None and self.max_nfe < 1:
            raise UserError(f"max-nfe must be at least 1, not {self.max_nfe}: the last evaluation completes the text")
        if self.deadline_ms is not None and not self.deadline_ms > 0:
            raise UserError(f"deadline-ms must be positive, not {self.deadline_ms}")

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return self.max_nfe is not None or self.deadline_ms is not None


@dataclass(frozen=True)
class Decoder:
    """Strategy, cache, guidance, constraint and limits.

    `stop` tokens end a request: once one lies in the text decided without a gap (under block diffusion: in a finished
    block, unless `early`), what follows is cancelled. `banned` tokens are never written.
    """

    strategy: Strategy
    cache: CachePolicy = field(default_factory=NoCache)
    guidance: Guidance | None = None
    constraint: Constraint | None = None
    limits: Limits = field(default_factory=Limits)
    stop: tuple[int, ...] = ()
    banned: tuple[int, ...] = ()
    early: bool = False

    def check(self, predictor: Predictor, canvas: Canvas) -> None:
        """Raise UserError for what cannot work together, before any forward pass."""
        self.check_strategy(predictor)
        self.cache.check(predictor)
        if self.guidance is not None:
            if predictor.traits.one_sided and predictor.process.mask is None:
                raise UserError("guidance hides fixed text behind masks, and this model has none: leave it out")
            self.guidance.check(predictor, canvas, self.strategy)
        if predictor.traits.first_given and bool((canvas.pending & (canvas.positions == 0)).any()):
            raise UserError(
                "this network predicts from what stands before, and nothing stands before the first token: give a "
                "prompt, of one token at least"
            )
        if predictor.traits.one_sided and bool((canvas.steps.sum(-1) < canvas.pending.sum(-1)).any()):
            raise UserError(
                "this network reads from left to right, one token a step: leave out the number of steps, or give one "
                "for each token"
            )
        if not self.strategy.begins_anywhere and bool((canvas.begins < 1).any()):
            raise UserError(
                "this strategy has a clock of its own, and begins with noise alone: use strategy 'ancestral'"
            )
        if self.strategy.shadows and predictor.traits.logit_row:
            raise UserError("this strategy reads decided tokens from shadow rows, which shifted networks do not have")
        if self.strategy.shadows and predictor.traits.block_length is not None:
            raise UserError("this strategy reads decided tokens from shadow rows, which block diffusion does not have")
        if predictor.traits.block_length is not None and not bool((canvas.span > 0).all()):
            raise UserError(
                f"this network was trained by block diffusion and needs canvases with its blocks: "
                f"span={predictor.traits.block_length}"
            )
        for name in ("stop", "banned"):
            for token in getattr(self, name):
                if not 0 <= token < predictor.process.vocabulary.rows:
                    raise UserError(
                        f"{name} id {token} lies outside the table of {predictor.process.vocabulary.rows} rows"
                    )

    def check_strategy(self, predictor: Predictor) -> None:
        """Raise UserError for a strategy that cannot decide what the network predicts."""
        # what a model is comes first: what a strategy needs of its noise may name one that the model refuses
        if predictor.process.moves_vectors and not self.strategy.moves_vectors:
            raise UserError(
                "this model moves vectors, which this strategy does not: use 'gaussian-ancestral' or 'probability-flow'"
            )
        if predictor.head == "score":
            self._check_score(predictor.process)
        if not predictor.traits.one_sided:
            require(self.strategy.needs, predictor.process)
        elif not self.strategy.left_to_right:  # which needs nothing there: what is pending is never seen
            raise UserError("this network reads from left to right: use strategy 'left-to-right'")

    def _check_score(self, process: Process) -> None:
        """At the mask ratios are a prediction; under uniform noise they have no leave-one-out form."""
        if jumps_to_mask(process):
            return
        if not self.strategy.scored:
            raise UserError(
                "this model gives ratios of probabilities, and under uniform noise this strategy needs predictions: "
                "use strategy 'tweedie' or 'euler'"
            )
        if self.guidance is not None:
            raise UserError("guidance mixes predictions, and this model gives ratios of probabilities: leave it out")

    @property
    def copies(self) -> int:
        """How often a request goes through the network."""
        return 1 if self.guidance is None else self.guidance.copies

    @property
    def kind(self) -> Hashable:
        """That of the constraint; None without one."""
        return None if self.constraint is None else self.constraint.kind

    def each(self, count: int) -> "list[Decoder]":
        """What each of `count` requests is decoded by, given the constraint of all of them."""
        if self.constraint is None:
            return [self] * count
        return [replace(self, constraint=self.constraint.select([row])) for row in range(count)]
