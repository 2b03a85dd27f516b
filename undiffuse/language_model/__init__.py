"""The language model: predictor, tokenizer and manifest, with the verbs that people use it by."""

from .conversion import convert
from .decode import Decoded
from .findings import Check, Finding
from .inspection import Inspection, inspect
from .listing import Listed, list_models
from .loading import load
from .model import LanguageModel
from .named import Found, find
from .results import Alternative, Answer, Filled, FilledObject, Generated, HoleFill, Score

__all__ = [
    "Alternative",
    "Answer",
    "Check",
    "Decoded",
    "Filled",
    "FilledObject",
    "Finding",
    "Found",
    "Generated",
    "HoleFill",
    "Inspection",
    "LanguageModel",
    "Listed",
    "Score",
    "convert",
    "find",
    "inspect",
    "list_models",
    "load",
]
