"""A small tokenizer of SentencePiece's, as llama.cpp's converters write it, with ids that SentencePiece gave."""

import json
from functools import cache
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "text" / "sentencepiece.json"
LED, BARE = 0, 1
"""One puts a space before every text, one does not."""


@cache
def recorded(number: int = LED) -> dict[str, Any]:
    """`pieces` with their scores and kinds, `texts` with their ids and how those are read back."""
    return json.loads(RECORDED.read_text())["models"][number]


def metadata(number: int = LED) -> dict[str, Any]:
    """What a GGUF file says of it."""
    pieces, scores, kinds = (list(column) for column in zip(*recorded(number)["pieces"], strict=True))
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.add_space_prefix": recorded(number)["add_space_prefix"],
    }
