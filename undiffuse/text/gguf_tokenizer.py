"""The tokenizer of a GGUF file: its metadata in the form of `tokenizer.json`.

Only byte-level BPE is rebuilt. The file names how a text is cut before merging by a word of llama.cpp; a word that is
not known is not guessed, for other cuts would make other ids of the same text.
"""

import json
from collections.abc import Mapping
from typing import Any

import tokenizers
from tokenizers import normalizers, pre_tokenizers

from ..errors import UserError
from .published_tokenizer import QWEN_PATTERN
from .tokenizer import cut_by

LLAMA3_PATTERN = QWEN_PATTERN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
"""Numbers in threes, and otherwise as Qwen2 cuts."""
QWEN, LLAMA3 = ("qwen2", "deepseek-r1-qwen"), ("llama-bpe", "llama3", "llama-v3")
PATTERNS = dict.fromkeys(QWEN, QWEN_PATTERN) | dict.fromkeys(LLAMA3, LLAMA3_PATTERN)
NORMAL, CONTROL, DEFINED = 1, 3, 4
"""Kinds of tokens: text, control tokens, and texts that stay whole."""
Json = Mapping[str, Any]


def tokenizer_json(metadata: Json) -> dict[str, Any]:
    """The content of a `tokenizer.json`; UserError for a kind of tokenizer that is not read."""
    kind, cut = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre")
    if kind != "gpt2":
        raise UserError(f"its tokenizer is of the kind {kind!r}, and byte-level BPE ('gpt2') alone is read")
    tokens, merges = (_texts(metadata.get(f"tokenizer.ggml.{name}")) for name in ("tokens", "merges"))
    if not tokens:
        raise UserError("its tokenizer has no list of tokens; convert it anew")
    kinds = metadata.get("tokenizer.ggml.token_type") or [NORMAL] * len(tokens)
    if len(kinds) != len(tokens):
        raise UserError(f"its tokenizer has {len(tokens)} tokens and {len(kinds)} kinds of them; convert it anew")
    last = max((row for row, of in enumerate(kinds) if of == NORMAL), default=-1)
    vocabulary = {token: row for row, token in enumerate(tokens[: last + 1])}
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    try:
        library = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, pairs, ignore_merges=cut in LLAMA3))
    except Exception as error:  # the library raises nothing narrower
        raise UserError(f"its tokenizer is damaged ({error}); convert it anew") from error
    if cut in QWEN:
        library.normalizer = normalizers.NFC()
    library.pre_tokenizer = _cut(cut)
    library.decoder = tokenizers.decoders.ByteLevel()
    added = [_added(row, tokens[row], of == CONTROL) for row, of in enumerate(kinds) if of in (CONTROL, DEFINED)]
    return {**json.loads(library.to_str()), "added_tokens": added}


def tokenizer_config(metadata: Json) -> dict[str, Any]:
    """What a `tokenizer_config.json` says of the same: control tokens by their text, and the chat template."""
    tokens = _texts(metadata.get("tokenizer.ggml.tokens"))
    found: dict[str, Any] = {}
    for ours, theirs in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown"), ("mask", "mask")):
        row = metadata.get(f"tokenizer.ggml.{theirs}_token_id")
        if isinstance(row, int) and 0 <= row < len(tokens):
            found[f"{ours}_token"] = tokens[row]
    begins = metadata.get("tokenizer.ggml.add_bos_token", metadata.get("tokenizer.ggml.pre") in LLAMA3)
    template = metadata.get("tokenizer.chat_template")
    return {**found, "add_bos_token": bool(begins), **({"chat_template": template} if template else {})}


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
