"""Tokenizers of published models, which say nothing about bytes themselves: BPE of bytes or with bytes, as `Codec`s.

Added tokens (role markers, the mask, whatever a template writes) are left out of what encodes text, so no text of a
user becomes one; `NoTokenizer` stands where a directory has none, and says so when text comes.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any, Literal

import tokenizers

from ..errors import UserError
from ..vocabulary import Vocabulary
from .codec import Codec, Control, Kind
from .spelling import SPACE, lead_of, of_text, spelled, without_lead
from .surroundings import Surroundings, surroundings_of
from .tokenizer import cut_by, utf8

Cut = Literal["qwen2", "gpt2"]
END = "<|endoftext|>"  # which GPT-2's vocab.json has among the texts

# How Qwen2 cuts a text before merging (its tokenizer class has it in code, beside vocab.json and merges.txt).
QWEN_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, eq=False)
class PublishedTokenizer(Codec):
    """A BPE in the form of `tokenizer.json`, for a table of `rows.rows` rows, `first` before every text.

    Byte-level, or SentencePiece's with tokens for single bytes, which puts a space before a text.
    """

    content: Mapping[str, Any]
    rows: Vocabulary
    first: int | None = None

    def __post_init__(self) -> None:
        model = self.content.get("model")
        vocabulary = model.get("vocab") if isinstance(model, Mapping) else None
        if isinstance(model, Mapping) and model.get("type", "BPE") == "BPE":
            check_rows(vocabulary, self.content, self.rows)
        elif model is None:
            raise UserError("tokenizer.json has no model; copy it again")
        if not isinstance(model, Mapping) or model.get("type", "BPE") != "BPE" or spelled(self.content) is None:
            raise UserError(
                "tokenizer.json is neither a byte-level BPE, nor one with byte fallback, nor a WordPiece, the kinds of "
                "published tokenizers that are read: take it away and work with ids (model.logits, model.decode)"
            )

    @classmethod
    def from_merges(
        cls,
        vocabulary: Mapping[str, int],
        merges: str,
        rows: Vocabulary,
        added: Mapping[str, int] | None = None,
        first: int | None = None,
        cut: Cut = "qwen2",
    ) -> "PublishedTokenizer":
        """From the content of `vocab.json` and `merges.txt`, in one way of cutting text, and its added tokens."""
        lines = [line for line in merges.splitlines() if line and not line.startswith("#version")]
        pairs = [(left, right) for left, _, right in (line.partition(" ") for line in lines)]
        library = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=dict(vocabulary), merges=pairs))
        if cut == "qwen2":
            library.normalizer = tokenizers.normalizers.NFC()
            library.pre_tokenizer = cut_by(QWEN_PATTERN)
        else:
            library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        library.decoder = tokenizers.decoders.ByteLevel()
        marks = {END: vocabulary[END]} if cut == "gpt2" and END in vocabulary else {}
        listed = [{"id": row, "content": text} for text, row in {**marks, **(added or {})}.items()]
        return cls({**json.loads(library.to_str()), "added_tokens": listed}, rows, first)

    @property
    def vocabulary(self) -> Vocabulary:
        return self.rows

    @property
    def kind(self) -> Kind:
        return "byte" if all(len(token) <= 1 for token in self.tokens) else "bpe"

    @property
    def start(self) -> int | None:
        return self.first

    def to_json(self) -> str:
        """The content of its `tokenizer.json`."""
        return json.dumps(self.content, ensure_ascii=False)

    @cached_property
    def digest(self) -> str:
        """A hash of its content."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @cached_property
    def _spellings(self) -> dict[str, int]:
        """Rows that text can encode to."""
        added = added_tokens(self.content)
        vocabulary = self.content["model"]["vocab"]
        return {text: row for text, row in vocabulary.items() if text not in added and row != self._unknown}

    @cached_property
    def tokens(self) -> tuple[bytes, ...]:
        tokens, bytes_of = [b""] * self.rows.rows, spelled(self.content)
        assert bytes_of is not None
        for spelling, row in self._spellings.items():
            tokens[row] = bytes_of(spelling)
        for row in self.rows.unpredictable:
            tokens[row] = b""
        return tuple(tokens)

    @cached_property
    def controls(self) -> Mapping[str, Control]:
        return controls_of(self.content)

    @cached_property
    def surroundings(self) -> Surroundings:
        return surroundings_of(self.content)

    @cached_property
    def continuing(self) -> Codec:
        return self if lead_of(self.content) == "never" else replace(self, content=without_lead(self.content))

    @property
    def after_control(self) -> Codec:
        return self if lead_of(self.content) == "always" else self.continuing

    @property
    def _unknown(self) -> int | None:
        """What stands for a character that has neither a token nor tokens of its bytes."""
        model = self.content["model"]
        return model["vocab"].get(model.get("unk_token")) if self._of_text else None

    @cached_property
    def _of_text(self) -> bool:
        return spelled(self.content) is of_text

    @cached_property
    def _library(self) -> tokenizers.Tokenizer:
        return read_library(self._text_alone() if self._of_text else self.content)

    def _text_alone(self) -> dict[str, Any]:
        """Without control tokens: pieces of text that make up the spelling of one do not merge to it."""
        model = self.content["model"]
        unknown = model.get("unk_token")
        marks = {*added_tokens(self.content), unknown}
        pairs = (merge.partition(" ")[::2] if isinstance(merge, str) else merge for merge in model.get("merges") or [])
        merges = [(left, right) for left, right in pairs if marks.isdisjoint((left, right, left + right))]
        vocabulary = {text: row for text, row in model["vocab"].items() if text not in marks or text == unknown}
        return {**self.content, "model": {**model, "vocab": vocabulary, "merges": merges}}

    def encode(self, text: str) -> list[int]:
        utf8(text)
        found = self._library.encode(text, add_special_tokens=False)
        ids = found.ids
        if self._unknown in ids:
            start, end = found.offsets[ids.index(self._unknown)]
            raise UserError(f"this model's tokenizer has no token for {text[start:end]!r}: leave it out")
        control = next((row for row in ids if not self.tokens[row]), None)
        if control is not None:
            raise UserError(f"the text spells a control token of this model ({self._library.id_to_token(control)!r})")
        return ids

    def context(self, text: str) -> list[int]:
        utf8(text)
        return self._library.encode(text, add_special_tokens=False).ids

    def pieces(self, text: str) -> list[tuple[int, bytes]]:
        found = super().pieces(text)
        said, read = b"".join(data for _, data in found), self._as_read(text)
        if said == utf8(text) or said.removeprefix(b" " if len(said) > len(read) else b"") != read:
            return found  # it stands there as it was given, or changed
        units = [unit for character in text for unit in self._units(character)]
        units = [b""] * (len(said) - len(read)) + units
        ends = [0, *accumulate(len(data) for _, data in found)]
        return [(row, b"".join(units[a:b])) for (row, _), (a, b) in zip(found, pairwise(ends), strict=True)]

    def _as_read(self, text: str) -> bytes:
        """Two characters are one space to SentencePiece."""
        return (text.replace(SPACE, " ") if self._of_text else text).encode()

    def _units(self, character: str) -> list[bytes]:
        """What stands in the text for each byte of a character as it was read."""
        data = character.encode()
        return [data] if character == SPACE and self._of_text else [data[at : at + 1] for at in range(len(data))]


@dataclass(frozen=True)
class NoTokenizer(Codec):
    """Stands for a tokenizer that a directory does not have: every use of text is a UserError."""

    rows: Vocabulary
    where: str
    fix: str = "put the family's tokenizer.json, or its vocab.json and merges.txt, into the directory"

    @property
    def vocabulary(self) -> Vocabulary:
        return self.rows

    @property
    def tokens(self) -> tuple[bytes, ...]:
        raise self._missing

    @property
    def kind(self) -> Kind:
        raise self._missing

    def encode(self, text: str) -> list[int]:
        raise self._missing

    @property
    def _missing(self) -> UserError:
        return UserError(
            f"{self.where} has no tokenizer, so it takes and gives ids alone (model.logits, model.decode): {self.fix}"
        )


def check_rows(vocabulary: object, content: Mapping[str, Any], rows: Vocabulary) -> None:
    """UserError unless a file has tokens with their ids, all of them in the table."""
    if not isinstance(vocabulary, Mapping) or not all(map(_row, vocabulary.values())):
        raise UserError("tokenizer.json has no vocabulary of tokens with their ids; copy it again")
    largest = max([*vocabulary.values(), *added_tokens(content).values()], default=0)
    if largest >= rows.rows:
        raise UserError(
            f"tokenizer.json has id {largest} and the model's table {rows.rows} rows: they belong to different models"
        )


def controls_of(content: Mapping[str, Any]) -> dict[str, Control]:
    """What only a template may write, by its text: the added tokens."""
    listed = content.get("added_tokens") or []
    return {
        token["content"]: Control(token["id"], token.get("lstrip") is True, token.get("rstrip") is True)
        for token in listed
        if token["content"]
    }


def read_library(content: Mapping[str, Any]) -> tokenizers.Tokenizer:
    """What encodes plain text: without added tokens, and without what is put around a text.

    UserError where the library takes a file for damaged: it raises nothing narrower than Exception.
    """
    plain = {**content, "added_tokens": [], "post_processor": None, "truncation": None, "padding": None}
    try:
        return tokenizers.Tokenizer.from_str(json.dumps(plain))
    except Exception as error:
        raise UserError(f"tokenizer.json is damaged ({error}); copy it again") from error


def added_tokens(content: Mapping[str, Any]) -> dict[str, int]:
    """The added tokens of a `tokenizer.json`, by their text; UserError where one has no text or no id."""
    listed = content.get("added_tokens") or []
    if not isinstance(listed, list):
        raise UserError(f"tokenizer.json: added_tokens must be a list, not {listed!r}")
    for token in listed:
        known = isinstance(token, Mapping) and isinstance(token.get("content"), str) and _row(token.get("id"))
        if not known:
            raise UserError(f'tokenizer.json: an added token needs "content" and "id", and one is {token!r}')
    return {token["content"]: token["id"] for token in listed}


def _row(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
