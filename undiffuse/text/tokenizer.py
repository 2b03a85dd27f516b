"""Byte-level BPE, trained on the user's own text: every string has ids, and every id list its exact bytes.

Rows of the table, always in this order: the 256 bytes, one row per merged token, then the control rows. Control rows
are spelled with a space, which no byte-level spelling contains, and no merge leads to them: no text can encode to one,
here or in any other program that loads the `tokenizer.json`.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import tokenizers
from tokenizers import decoders, models, pre_tokenizers, trainers

from ..errors import UserError
from ..vocabulary import Vocabulary
from .codec import Codec, Control, Kind

CONTROLS = ("mask", "bos", "eos", "pad")
LONGEST_TOKEN = 16  # bytes: rules and runs of dashes stay several tokens
# A word takes the space before it; digits come in threes; line breaks stay with the punctuation that ends a line.
PATTERN = r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

# Before a line that begins with a letter or digit the pattern always cuts, so long texts can be encoded part by part:
# a third of the time and an eighth of the memory at 8 MB.
PART = re.compile(r".{65536,}?\n(?=\w)|.+", re.DOTALL)


# Counting pairs takes the square of a piece's length, and text without spaces is one piece.
UNBROKEN = re.compile(r"\S{512,}|\s{512,}")
LONGEST_PIECE = 128


def _countable(text: str) -> list[str]:
    """The text for counting alone, unbroken runs cut into pieces: time grows with its length and no faster."""
    pieces, done = [], 0
    for run in UNBROKEN.finditer(text):
        pieces.append(text[done : run.start()])
        pieces += [text[at : at + LONGEST_PIECE] for at in range(run.start(), run.end(), LONGEST_PIECE)]
        done = run.end()
    return [*pieces, text[done:]]


def _alphabet() -> tuple[str, ...]:
    """How `tokenizer.json` spells each byte (GPT-2): printable Latin-1 as itself, the rest from code point 256 up."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = iter(range(256, 512))
    return tuple(chr(byte) if byte in visible else chr(next(hidden)) for byte in range(256))


ALPHABET = _alphabet()
BYTE_OF = {character: byte for byte, character in enumerate(ALPHABET)}


def size_for(text_bytes: int) -> int:
    """Rows of a vocabulary that suits a text of so many bytes: 1024 around 20 KB, 4096 around 0.3 MB, 8192 from 0.7 MB.

    It grows with the square root of the text, so that the average token is seen ever more often. At 1 MB 8192 rows
    were measured to be better than 4096, 2048 and 1024 at equal training time (docs/log.md).
    """
    exponent = 13 + 0.5 * math.log2(max(text_bytes, 1) / 1_000_000)
    return 1 << min(max(round(exponent), 9), 13)


def size_for_records(text_bytes: int) -> int:
    """Rows of a vocabulary for records of so many bytes in all: their names should be few tokens each."""
    return max(size_for(text_bytes), 4096)


def utf8(text: str) -> bytes:
    """The text's bytes; UserError for a lone surrogate, which has none."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"character {error.start + 1} of the text is the lone surrogate U+{ord(text[error.start]):04X}, which is "
            "not valid Unicode; remove it, or decode its source as UTF-8"
        ) from error


@dataclass(frozen=True)
class Tokenizer(Codec):
    """A tokenizer is its list of merges, each a pair of spellings, in order of priority; none for plain bytes."""

    merges: tuple[tuple[str, str], ...]

    @classmethod
    def byte_level(cls) -> "Tokenizer":
        """One token per byte."""
        return cls(())

    @classmethod
    def train(cls, texts: Iterable[str], size: int, least_count: int = 2) -> "Tokenizer":
        """BPE with at most `size` rows in all; fewer where the texts repeat too little. Deterministic.

        Two tokens are merged where they stand side by side `least_count` times or more often.
        """
        smallest = len(ALPHABET) + len(CONTROLS)
        if size < smallest:
            raise UserError(
                f"a vocabulary of {size} rows cannot hold the 256 bytes and 4 control rows: use at least {smallest}"
            )
        library = tokenizers.Tokenizer(models.BPE())
        library.pre_tokenizer = cut_by(PATTERN)
        library.train_from_iterator(
            (piece for text in texts for part in PART.findall(text) for piece in _countable(part)),
            trainers.BpeTrainer(
                vocab_size=size - len(CONTROLS),
                min_frequency=least_count,
                initial_alphabet=list(ALPHABET),
                max_token_length=LONGEST_TOKEN,
                show_progress=False,
            ),
        )
        return cls(_merges(json.loads(library.to_str())))

    @classmethod
    def from_json(cls, text: str) -> "Tokenizer":
        """The inverse of `to_json`; UserError for anything else."""
        try:
            content = json.loads(text)
            tokenizer = cls(_merges(content))
            same = content["model"]["vocab"] == tokenizer._spellings
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"tokenizer.json cannot be read ({type(error).__name__}: {error}); copy it again from its run"
            ) from error
        if not same:
            raise UserError("tokenizer.json was not written by undiffuse: its rows are not bytes, merges, control rows")
        return tokenizer

    def to_json(self) -> str:
        """The content of a `tokenizer.json`, loadable by `tokenizers.Tokenizer.from_str`."""
        return self._library.to_str(pretty=True)

    @cached_property
    def _spellings(self) -> dict[str, int]:
        """Every row by its spelling. Two merges may make one token, so merges and rows are counted apart."""
        rows = {character: byte for byte, character in enumerate(ALPHABET)}
        for left, right in self.merges:
            rows.setdefault(left + right, len(rows))
        return rows | {_control(name): len(rows) + i for i, name in enumerate(CONTROLS)}

    @cached_property
    def _library(self) -> tokenizers.Tokenizer:
        library = tokenizers.Tokenizer(models.BPE(vocab=self._spellings, merges=list(self.merges)))
        library.pre_tokenizer = cut_by(PATTERN)
        library.decoder = decoders.ByteLevel()
        return library

    @cached_property
    def vocabulary(self) -> Vocabulary:
        rows = self._spellings
        mask, bos, eos, pad = (rows[_control(name)] for name in CONTROLS)
        return Vocabulary(len(rows), mask, bos, eos, pad)

    @cached_property
    def tokens(self) -> tuple[bytes, ...]:
        """The bytes of every row; control rows have none."""
        controls = {_control(name) for name in CONTROLS}
        return tuple(
            b"" if spelling in controls else bytes(BYTE_OF[character] for character in spelling)
            for spelling in self._spellings
        )

    @cached_property
    def controls(self) -> dict[str, Control]:
        return {_control(name): Control(self._spellings[_control(name)]) for name in CONTROLS}

    @property
    def kind(self) -> Kind:
        return "bpe" if self.merges else "byte"

    @cached_property
    def digest(self) -> str:
        """A hash of what the tokenizer does, the same on every machine and in every version of the library."""
        content = json.dumps([PATTERN, self.merges, CONTROLS])
        return hashlib.sha256(content.encode()).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Ids of real tokens alone, whatever the text spells. `decode` gives the text back bit for bit."""
        data = utf8(text)
        if self.kind == "byte":
            return list(data)
        ids: list[int] = []
        for part in PART.findall(text):
            ids += self._library.encode_batch_fast([part], add_special_tokens=False)[0].ids
        return ids


def _control(name: str) -> str:
    return f"<control {name}>"


def cut_by(pattern: str) -> pre_tokenizers.PreTokenizer:
    """Cuts a text into the pieces within which bytes may merge to tokens: the matches of a pattern."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def _merges(content: dict) -> tuple[tuple[str, str], ...]:
    return tuple((left, right) for left, right in content["model"]["merges"])
