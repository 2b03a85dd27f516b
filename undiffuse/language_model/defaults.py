"""What a verb does when it is not told."""

from ..decode.strategies.strategy import Strategy
from ..predictor import Predictor
from .arguments import real


def default_strategy(predictor: Predictor, *, drawing: bool) -> str:
    """The strategy that suits a network, for drawing from it or for its best text."""
    if predictor.traits.reads_previous:
        return "left-to-right"
    process = predictor.process
    if process.moves_vectors:
        return "gaussian-ancestral" if drawing else "probability-flow"
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
    predictor: Predictor, strategy: str | Strategy | None, temperature: float | None
) -> tuple[str | Strategy, float | None]:
    """Strategy and temperature of a generation that was told neither, or one: as the model has it, temperature 1."""
    if isinstance(strategy, Strategy):
        return strategy, temperature
    heat = 1.0 if temperature is None else real("temperature", temperature)
    return default_strategy(predictor, drawing=heat > 0) if strategy is None else strategy, heat
