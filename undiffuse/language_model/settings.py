"""How a verb decodes: strategy and numbers, checked before anything runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_type_hints

from ..decode.caches.cache import CachePolicy
from ..decode.caches.none import NoCache
from ..decode.constraint import Constraint
from ..decode.decoder import Decoder, Limits
from ..decode.guidance.guidance import Guidance
from ..decode.guidance.prompt import Prompt
from ..decode.proposal import Filters
from ..decode.strategies.strategy import Strategy
from ..errors import UserError, did_you_mean
from ..kinds import CACHES, STRATEGIES, kind_of
from ..predictor import Predictor
from ..randomness import check_seed
from .arguments import plain, real, whole

FILTERS = {f.name for f in fields(Filters)}


@dataclass(frozen=True)
class Preset:
    """A strategy with numbers under one name; options that are given override them."""

    summary: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    cache: str | None = None


PRESETS = {
    "quality": Preset(
        "topk-margin, one token per step: none is committed as if independent of another.",
        "topk-margin",
    ),
    "balanced": Preset(
        "entropy-bounded gamma=0.1: several tokens per step where they share at most 0.1 nats.",
        "entropy-bounded",
        {"gamma": 0.1},
    ),
    "speed": Preset(
        "entropy-bounded gamma=1, cache=auto: up to 1 nat shared, and the cache that a measurement favors.",
        "entropy-bounded",
        {"gamma": 1.0},
        "auto",
    ),
}
"""Names accepted wherever a strategy is. All of them order positions before any token is drawn."""


@dataclass(frozen=True)
class Settings:
    """A strategy and the numbers of one call. `limited` says that the steps are the limit on evaluations.

    `candidates` and `right` bound how a causal model ranks fillings (`ranking.py`).
    """

    strategy: Strategy
    kind: str
    seed: int
    samples: int
    steps: int | None
    block_length: int | None
    cache: CachePolicy | None = None
    guidance: Guidance | None = None
    limits: Limits = field(default_factory=Limits)
    limited: bool = False
    candidates: int | None = None
    right: int | None = None

    @classmethod
    def of(
        cls,
        strategy: str | Strategy,
        *,
        seed: int = 0,
        samples: int = 1,
        steps: int | None = None,
        block_length: int | None = None,
        cache: str | CachePolicy | None = None,
        guidance: float | Guidance | None = None,
        max_nfe: int | None = None,
        deadline_ms: float | None = None,
        candidates: int | None = None,
        right: int | None = None,
        **options: Any,
    ) -> "Settings":
        """Options are the filters' (temperature, top_k, top_p, confidence) and the strategy's own (threshold).

        `strategy` is the name of one, or of a preset (`PRESETS`), whose numbers the options given here override; or an
        object, which has all its options. `guidance` is the scale of guidance by the prompt (1: none), or a `Guidance`.

        None means "as the strategy has it". UserError for what does not exist or cannot be.
        """
        given = {name: value for name, value in options.items() if value is not None}
        if isinstance(strategy, str):
            kind = strategy
            if kind in PRESETS:
                preset = PRESETS[kind]
                kind, given, cache = preset.kind, {**preset.options, **given}, cache or preset.cache
            built = _named(kind, given)
        else:
            kind, built = _given(strategy, given)
        steps, block_length, max_nfe = (
            None if value is None else whole(name, value)
            for name, value in (("steps", steps), ("block_length", block_length), ("max_nfe", max_nfe))
        )
        seed, samples = check_seed(seed), whole("samples", samples)
        limited = steps is None and max_nfe is not None
        if limited:
            steps = max_nfe  # best spread over the whole text
        limits = Limits(max_nfe, None if deadline_ms is None else real("deadline_ms", deadline_ms))
        return cls(
            built,
            kind,
            seed,
            samples,
            steps,
            block_length,
            _cache(cache),
            _guidance(guidance),
            limits,
            limited,
            None if candidates is None else whole("candidates", candidates),
            None if right is None else whole("right", right, 0),
        )

    def decoder(self, constraint: Constraint | None = None, **more: Any) -> Decoder:
        """What the decoding loop takes; `more` are its stop and banned tokens.

        UserError for numbers that it does not read.
        """
        for name in ("candidates", "right"):
            if getattr(self, name) is not None:
                raise UserError(
                    f"{name} is for blanks that text follows and that a causal model fills, and nothing is ranked "
                    "here: leave it out"
                )
        return Decoder(self.strategy, self.cache or NoCache(), self.guidance, constraint, self.limits, **more)

    def plan(self, predictor: Predictor, steps: int | None) -> dict[str, Any]:
        """What `start` is told of windows and steps: blocks and windows of the network, and the strategy's own plan."""
        traits = predictor.traits
        return {
            "steps": steps,
            "block_length": self.block_length,
            "span": traits.block_length,
            "floating": traits.floating,
            "planned": self.strategy.planned,
        }

    def check(self, pending: int) -> None:
        """Raise UserError if the steps cannot visit the windows of this many pending positions."""
        if self.steps is None or self.limited:
            return
        block = min(self.block_length or pending, pending)
        windows = -(-pending // block)
        if self.steps < windows:
            raise UserError(
                f"{self.steps} steps cannot fill {windows} blocks of {block} tokens: "
                f"use at least {windows} steps, or blocks of at least {-(-pending // self.steps)} tokens"
            )


def _named(kind: str, given: Mapping[str, Any]) -> Strategy:
    """The strategy of a name, with options."""
    if kind not in STRATEGIES.kinds:
        raise UserError(f"there is no strategy {kind!r}{did_you_mean(kind, (*STRATEGIES.kinds, *PRESETS))}")
    strategy = STRATEGIES.load(kind)
    own = {f.name for f in fields(strategy)} - {"filters"}
    for name in given:
        if name not in FILTERS | own:
            raise UserError(f"strategy {kind!r} has no option {name!r}{did_you_mean(name, FILTERS | own)}")
    hints = get_type_hints(Filters) | get_type_hints(strategy)
    given = {name: plain(name, hints.get(name), value) for name, value in given.items()}
    try:
        filters = replace(strategy().filters, **{name: value for name, value in given.items() if name in FILTERS})
        return strategy(filters=filters, **{name: value for name, value in given.items() if name in own})
    except TypeError as error:
        raise UserError(f"strategy {kind!r} cannot take {given}: {str(error).splitlines()[0]}") from error


def _given(strategy: Strategy, given: Mapping[str, Any]) -> tuple[str, Strategy]:
    """An object and its name: its kind, or its class where it is from elsewhere."""
    if not isinstance(strategy, Strategy):
        raise _wrong("strategy", "a name (see `undiffuse list strategies`), or a Strategy", strategy)
    name = type(strategy).__name__
    if given:
        option, value = next(iter(given.items()))
        fix = f"filters=Filters({option}={value!r})" if option in FILTERS else f"{option}={value!r}"
        raise UserError(f"a strategy that is an object has its own {option}: leave it out, or say {name}({fix}, …)")
    kind = kind_of(strategy)
    return kind if kind in STRATEGIES.kinds else name, strategy


def _cache(cache: str | CachePolicy | None) -> CachePolicy | None:
    if isinstance(cache, str):
        return CACHES.load(cache)()
    if not isinstance(cache, CachePolicy | None):
        raise _wrong("cache", "a name (see `undiffuse list caches`), or a CachePolicy", cache)
    return cache


def _guidance(guidance: float | Guidance | None) -> Guidance | None:
    if guidance is None or isinstance(guidance, Guidance):
        return guidance
    try:
        scale = real("guidance", guidance)
    except UserError:
        raise _wrong("guidance", "a scale (1: none), or a Guidance", guidance) from None
    return None if scale == 1 else Prompt(scale=scale)


def _wrong(name: str, wanted: str, found: object) -> UserError:
    if isinstance(found, type):
        return UserError(f"{name} must be {wanted}, not a class: say {found.__name__}(…)")
    return UserError(f"{name} must be {wanted}, not {found!r}")
