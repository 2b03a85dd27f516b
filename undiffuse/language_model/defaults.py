"""What a verb does when it is not told."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..decode.caches.block import Block
from ..decode.strategies.strategy import Strategy
from ..predictor import Predictor
from .arguments import real
from .settings import Settings
from .trained import Trained


def default_strategy(predictor: Predictor, *, drawing: bool) -> str:
    """The strategy that suits a network, for drawing from it or for its best text."""
    if predictor.traits.one_sided:
        return "left-to-right"
    process = predictor.process
    if process.moves_vectors:
        return "gaussian-ancestral" if drawing else "probability-flow"
    if predictor.traits.feedback:
        return "entropy-renoise"
    if not drawing and process.mask is not None:
        return "confidence"
    return "tweedie" if predictor.head == "score" else "ancestral"


SHARP = 0.1
"""Where a strategy must draw, and the best text is asked for (docs/log.md)."""


def filling(
    predictor: Predictor, strategy: str | Strategy | None, temperature: float | None, samples: int
) -> tuple[str | Strategy, float | None]:
    """Strategy and temperature of a fill that was told neither, or one: the best text, or several that differ.

    A strategy that is an object has its temperature.
    """
    if isinstance(strategy, Strategy):
        return strategy, temperature
    kind = default_strategy(predictor, drawing=False) if strategy is None else strategy
    if temperature is None and samples > 1:
        return kind, 1.0
    sharp = temperature is None and strategy is None and kind in ("ancestral", "tweedie")
    return kind, SHARP if sharp else temperature


def generating(
    model: Trained, strategy: str | Strategy | None, options: Mapping[str, Any]
) -> tuple[str | Strategy, Mapping[str, Any]]:
    """Strategy and options of a generation that was told no strategy, or no temperature.

    As the authors of a public checkpoint decode; else as the model has it, at temperature 1.
    """
    if isinstance(strategy, Strategy):
        return strategy, options
    given = {name: value for name, value in options.items() if value is not None}
    if strategy is None and model.decoding is not None:
        return model.decoding.strategy, {"temperature": 1.0, **model.decoding.settings, **given}
    heat = real("temperature", given.get("temperature", 1.0))
    kind = default_strategy(model.predictor, drawing=heat > 0) if strategy is None else strategy
    return kind, {**given, "temperature": heat}


def answering(
    model: Trained, strategy: str | Strategy | None, options: Mapping[str, Any]
) -> tuple[str | Strategy, Mapping[str, Any]]:
    """Strategy and options of an answer that was told no strategy, or no temperature.

    As the authors of a public checkpoint decode; else the best text.
    """
    if strategy is None and model.decoding is not None:
        given = {name: value for name, value in options.items() if value is not None}
        return model.decoding.strategy, {**model.decoding.settings, **given}
    kind, heat = filling(model.predictor, strategy, options.get("temperature"), 1)
    return kind, {**options, "temperature": heat}


def suited(predictor: Predictor, settings: Settings) -> Settings:
    """With the exact cache, where a network has one and no other is asked for.

    What sees one side alone takes a step per token, and is cut off by a limit on evaluations.
    """
    if predictor.traits.one_sided and settings.limited:
        settings = replace(settings, steps=None, limited=False)
    exact = predictor.traits.block_length is not None or predictor.traits.one_sided
    return replace(settings, cache=Block()) if exact and settings.cache is None else settings
