"""The language model: predictor, tokenizer and manifest, with the verbs fill, generate, score and stream."""

from .model import LanguageModel
from .results import Alternative, Filled, Generated, HoleFill, Score
from .storage import load, newest_run

__all__ = ["Alternative", "Filled", "Generated", "HoleFill", "LanguageModel", "Score", "load", "newest_run"]
