"""How published BPE tokenizers spell the bytes of their tokens.

In an alphabet of 256 characters, one for each byte (GPT-2), or as text in which `▁` is a space, beside tokens for
single bytes (SentencePiece with byte fallback: Llama 1 and 2, Mistral). Tokenizers of the second kind put a space
before every text, or before one at the very beginning alone, so that its first word is the token that it is elsewhere;
a text that continues another must not get one.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from .tokenizer import BYTE_OF

SPACE = "▁"
"""How SentencePiece spells a space."""
BYTE = re.compile(r"<0x([0-9A-F]{2})>")
Lead = Literal["always", "first", "never"]
"""Before which texts a space is put: all, also those after a control token, one at the very beginning, or none."""
Json = Mapping[str, Any]


def spelled(content: Json) -> Callable[[str], bytes] | None:
    """What reads the spellings of a BPE's file as bytes, None for kinds that are not known."""
    kinds = {step.get("type") for step in _steps(content.get("decoder"), "decoders")}
    if "ByteLevel" in kinds:
        return of_alphabet
    return of_text if "ByteFallback" in kinds else None


def of_alphabet(spelling: str) -> bytes:
    """Nothing for what is no spelling of bytes."""
    return bytes(map(BYTE_OF.__getitem__, spelling)) if BYTE_OF.keys() >= set(spelling) else b""


def of_text(spelling: str) -> bytes:
    """The bytes of a piece, or the one byte that a token stands for."""
    byte = BYTE.fullmatch(spelling)
    return bytes([int(byte[1], 16)]) if byte else spelling.replace(SPACE, " ").encode()


def lead_of(content: Json) -> Lead:
    """Before which texts a tokenizer puts a space."""
    for step in _steps(content.get("normalizer"), "normalizers"):
        if step.get("type") == "Prepend" and step.get("prepend") == SPACE:
            return "always"
    for step in _steps(content.get("pre_tokenizer"), "pretokenizers"):
        if step.get("type") == "ByteLevel" and step.get("add_prefix_space") is True:
            return "always"
        if step.get("type") == "Metaspace":
            said = step.get("prepend_scheme", "always" if step.get("add_prefix_space", True) else "never")
            return said if said in ("always", "first") else "never"
    return "never"


def without_lead(content: Json) -> dict[str, Any]:
    """The file of the same tokenizer that puts no space before a text."""
    return {
        **content,
        "normalizer": _plain(content.get("normalizer"), "normalizers"),
        "pre_tokenizer": _plain(content.get("pre_tokenizer"), "pretokenizers"),
    }


def _plain(step: Any, inner: str) -> Any:
    if not isinstance(step, Mapping):
        return step
    if isinstance(step.get(inner), list):
        return {**step, inner: [plain for each in step[inner] if (plain := _plain(each, inner)) is not None]}
    match step.get("type"):
        case "Prepend" if step.get("prepend") == SPACE:
            return None
        case "ByteLevel":
            return {**step, "add_prefix_space": False}
        case "Metaspace":
            kept = {name: value for name, value in step.items() if name != "add_prefix_space"}
            return {**kept, "prepend_scheme": "never"}
        case _:
            return step


def _steps(found: Any, inner: str) -> Iterator[Json]:
    if isinstance(found, Mapping):
        for step in found[inner] if isinstance(found.get(inner), list) else ():
            yield from _steps(step, inner)
        yield found
