"""What a `tokenizer.json` holds, as a `Codec`: byte-level BPE or WordPiece, by its model."""

import json
from collections.abc import Mapping
from typing import Any

from ..errors import UserError
from ..vocabulary import Vocabulary
from .published_tokenizer import PublishedTokenizer
from .tokenizer import Tokenizer
from .word_pieces import WordPieces

Published = PublishedTokenizer | WordPieces
PUBLISHED = (PublishedTokenizer, WordPieces)


def read_tokenizer(content: Mapping[str, Any], rows: Vocabulary, start: int | None = None) -> Published:
    """The tokenizer of a file for a table of rows, with the start symbol of a causal model.

    UserError for a file of another kind, or of another model.
    """
    model = content.get("model")
    if isinstance(model, Mapping) and model.get("type") == "WordPiece":
        return WordPieces(content, rows)
    return PublishedTokenizer(content, rows, start)


def content_of(tokenizer: Published | Tokenizer) -> Mapping[str, Any]:
    """What the `tokenizer.json` of a published model holds: control rows of our own become added tokens."""
    if not isinstance(tokenizer, Tokenizer):
        return tokenizer.content
    content = json.loads(tokenizer.to_json())
    still = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    spelled = {row: text for text, row in content["model"]["vocab"].items()}
    vocabulary = tokenizer.vocabulary
    rows = sorted(row for row in (vocabulary.mask, vocabulary.bos, vocabulary.eos, vocabulary.pad) if row is not None)
    added = [{"id": row, "content": spelled[row], **still, "special": True} for row in rows]
    return {**content, "added_tokens": added}


def own_of(tokenizer: Published, vocabulary: Vocabulary) -> Published | Tokenizer:
    """The tokenizer of our own from which a published one was made by `content_of`, or the published one."""
    try:
        own = Tokenizer.from_json(json.dumps(tokenizer.content))
    except UserError:
        return tokenizer
    return own if content_of(own) == tokenizer.content and own.vocabulary == vocabulary else tokenizer
