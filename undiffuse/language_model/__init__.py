"""The language model: predictor, tokenizer and manifest, with the verbs that people use it by."""

from .check import Check, Finding
from .conversion import convert
from .decode import Decoded
from .inspection import Inspection, inspect
from .loading import load
from .model import LanguageModel
from .results import Alternative, Answer, Filled, FilledObject, Generated, HoleFill, Score
from .storage import newest_run

__all__ = [
    "Alternative",
    "Answer",
    "Check",
    "Decoded",
    "Filled",
    "FilledObject",
    "Finding",
    "Generated",
    "HoleFill",
    "Inspection",
    "LanguageModel",
    "Score",
    "convert",
    "inspect",
    "load",
    "newest_run",
]
