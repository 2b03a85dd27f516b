"""What a `tokenizer.json` holds, as a `Codec`: byte-level BPE or WordPiece, by its model."""

from collections.abc import Mapping
from typing import Any

from ..vocabulary import Vocabulary
from .published_tokenizer import PublishedTokenizer
from .word_pieces import WordPieces

Published = PublishedTokenizer | WordPieces


def read_tokenizer(content: Mapping[str, Any], rows: Vocabulary, start: int | None = None) -> Published:
    """The tokenizer of a file for a table of rows, with the start symbol of a causal model.

    UserError for a file of another kind, or of another model.
    """
    model = content.get("model")
    if isinstance(model, Mapping) and model.get("type") == "WordPiece":
        return WordPieces(content, rows)
    return PublishedTokenizer(content, rows, start)
