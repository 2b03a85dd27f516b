"""The English text that every CPython brings along: the help topics of `pydoc`, about 0.4 MB under the PSF license."""

import importlib

from ..errors import UserError
from .corpus import Corpus, Document


def topics() -> Corpus:
    """One document per help topic, by name; about a fifth of it recurs between topics, which `split` takes out."""
    try:
        module = importlib.import_module("pydoc_data.topics")
    except ImportError as error:
        raise UserError("this Python lacks its help topics (pydoc_data); train on a text of your own") from error
    return Corpus(tuple(Document(text) for _, text in sorted(module.topics.items())))
