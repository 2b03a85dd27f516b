"""The tokenizer of a GGUF file: its metadata in the form of `tokenizer.json`.

Byte-level BPE and SentencePiece's are rebuilt. The file names how a byte-level one cuts a text before merging by a word
of llama.cpp; a word that is not known is not guessed, for other cuts would make other ids of the same text.

SentencePiece cuts nothing. It merges the two neighbors that make the token with the highest score: as merges, the ways
in which each token falls into two others, in the order of its score. Of equal scores it takes the first from the left,
which no order of merges does, so tokens that share one are refused.
"""

import json
from collections.abc import Mapping
from itertools import chain, pairwise
from typing import Any

import tokenizers
from tokenizers import decoders, normalizers, pre_tokenizers

from ..errors import UserError
from .published_tokenizer import QWEN_PATTERN
from .spelling import SPACE
from .tokenizer import cut_by

LLAMA3_PATTERN = QWEN_PATTERN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
"""Numbers in threes, and otherwise as Qwen2 cuts."""
QWEN, LLAMA3 = ("qwen2", "deepseek-r1-qwen"), ("llama-bpe", "llama3", "llama-v3")
PATTERNS = dict.fromkeys(QWEN, QWEN_PATTERN) | dict.fromkeys(LLAMA3, LLAMA3_PATTERN)
NORMAL, UNKNOWN, CONTROL, DEFINED, BYTE = 1, 2, 3, 4, 6
"""Kinds of tokens: text, what has no token, control tokens, texts that stay whole, and single bytes."""
PIECES = "llama"
"""What llama.cpp calls SentencePiece's BPE."""
Json = Mapping[str, Any]


def tokenizer_json(metadata: Json) -> dict[str, Any]:
    """The content of a `tokenizer.json`; UserError for a kind of tokenizer that is not read."""
    kind = metadata.get("tokenizer.ggml.model")
    if kind not in ("gpt2", PIECES):
        raise UserError(
            f"its tokenizer is of the kind {kind!r}, and byte-level BPE ('gpt2') and SentencePiece's ({PIECES!r}) "
            "alone are read"
        )
    tokens = _texts(metadata.get("tokenizer.ggml.tokens"))
    if not tokens:
        raise UserError("its tokenizer has no list of tokens; convert it anew")
    kinds = metadata.get("tokenizer.ggml.token_type") or [NORMAL] * len(tokens)
    if len(kinds) != len(tokens):
        raise UserError(f"its tokenizer has {len(tokens)} tokens and {len(kinds)} kinds of them; convert it anew")
    try:
        content = json.loads((_pieces if kind == PIECES else _bytes)(metadata, tokens, kinds).to_str())
    except UserError:
        raise
    except Exception as error:  # the library raises nothing narrower
        raise UserError(f"its tokenizer is damaged ({error}); convert it anew") from error
    marks = (UNKNOWN, CONTROL, DEFINED) if kind == PIECES else (CONTROL, DEFINED)
    added = [_added(row, tokens[row], of in (UNKNOWN, CONTROL)) for row, of in enumerate(kinds) if of in marks]
    return {**content, "added_tokens": added}


def tokenizer_config(metadata: Json) -> dict[str, Any]:
    """What a `tokenizer_config.json` says of the same: control tokens by their text, and the chat template."""
    tokens = _texts(metadata.get("tokenizer.ggml.tokens"))
    found: dict[str, Any] = {}
    for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown"), ("mask", "mask")):
        row = special_row(metadata, theirs)
        if isinstance(row, int) and 0 <= row < len(tokens):
            found[f"{ours}_token"] = tokens[row]
    usual = metadata.get("tokenizer.ggml.model") == PIECES or metadata.get("tokenizer.ggml.pre") in LLAMA3
    begins = metadata.get("tokenizer.ggml.add_bos_token", usual)
    template = metadata.get("tokenizer.chat_template")
    return {**found, "add_bos_token": bool(begins), **({"chat_template": template} if template else {})}


def special_row(metadata: Json, role: str) -> Any:
    """The row of a role; where files of SentencePiece's kind do not say, llama.cpp takes the rows of Llama."""
    usual = {"unknown": 0, "bos": 1, "eos": 2} if metadata.get("tokenizer.ggml.model") == PIECES else {}
    return metadata.get(f"tokenizer.ggml.{role}_token_id", usual.get(role))


def _bytes(metadata: Json, tokens: list[str], kinds: list[int]) -> tokenizers.Tokenizer:
    cut, merges = metadata.get("tokenizer.ggml.pre"), _texts(metadata.get("tokenizer.ggml.merges"))
    last = max((row for row, of in enumerate(kinds) if of == NORMAL), default=-1)
    vocabulary = {token: row for row, token in enumerate(tokens[: last + 1])}
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    library = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, pairs, ignore_merges=cut in LLAMA3))
    if cut in QWEN:
        library.normalizer = normalizers.NFC()
    library.pre_tokenizer = _cut(cut)
    library.decoder = tokenizers.decoders.ByteLevel()
    return library


def _pieces(metadata: Json, tokens: list[str], kinds: list[int]) -> tokenizers.Tokenizer:
    scores = metadata.get("tokenizer.ggml.scores")
    if not isinstance(scores, list) or len(scores) != len(tokens):
        raise UserError("its tokenizer has no score for each of its tokens; convert it anew")
    if metadata.get("tokenizer.ggml.precompiled_charsmap") or metadata.get("tokenizer.ggml.remove_extra_whitespaces"):
        raise UserError("its tokenizer changes a text before it cuts it, which is not read of this kind")
    rows = {token: row for row, token in enumerate(tokens) if kinds[row] == NORMAL}
    ranked = sorted(rows, key=lambda token: (-scores[rows[token]], rows[token]))
    halves = {token: _halves(token, rows) for token in ranked}
    made = [token for token in ranked if halves[token]]
    same = next((pair for pair in pairwise(made) if len({scores[rows[token]] for token in pair}) == 1), None)
    if same is not None:
        raise UserError(
            f"its tokens {same[0]!r} and {same[1]!r} have one score, by which it would merge whichever comes first in "
            "a text, and that is not read"
        )
    # rows of control tokens are in the vocabulary too, as published files have it
    kept = {token: row for row, token in enumerate(tokens) if kinds[row] in (NORMAL, UNKNOWN, CONTROL, DEFINED, BYTE)}
    unknown = next((tokens[row] for row, of in enumerate(kinds) if of == UNKNOWN), None)
    library = tokenizers.Tokenizer(
        tokenizers.models.BPE(
            kept,
            list(chain.from_iterable(halves[token] for token in made)),
            unk_token=unknown,
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    led = metadata.get("tokenizer.ggml.add_space_prefix", True)
    library.normalizer = normalizers.Sequence(
        [*([normalizers.Prepend(SPACE)] if led else []), normalizers.Replace(" ", SPACE)]
    )
    strip = [decoders.Strip(" ", 1, 0)] if led else []
    library.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    return library


def _halves(token: str, rows: Mapping[str, int]) -> list[tuple[str, str]]:
    """The pairs of tokens that make up a token."""
    pairs = ((token[:at], token[at:]) for at in range(1, len(token)))
    return [pair for pair in pairs if pair[0] in rows and pair[1] in rows]


def _cut(name: object) -> pre_tokenizers.PreTokenizer:
    if name in PATTERNS:
        return cut_by(PATTERNS[str(name)])
    gpt2 = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if name == "smollm":
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), gpt2])
    if name == "gpt-2":
        return gpt2
    known = ", ".join(sorted((*PATTERNS, "gpt-2", "smollm")))
    raise UserError(f"its tokenizer cuts text as {name!r} does, which is not read; known: {known}")


def _added(row: int, text: str, special: bool) -> dict[str, Any]:
    still = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": row, "content": text, **still, "special": special}


def _texts(value: object) -> list[str]:
    """A list of texts, empty if it is anything else."""
    return value if isinstance(value, list) and all(isinstance(each, str) for each in value) else []
