"""What the verbs ask of a tokenizer: text to ids, ids to bytes."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..vocabulary import Vocabulary
from .surroundings import NONE, Surroundings

Kind = Literal["bpe", "byte", "wordpiece"]


@dataclass(frozen=True)
class Control:
    """A token that templates write: its row, and whether it takes the blanks on its left or right with it."""

    row: int
    lstrip: bool = False
    rstrip: bool = False


class Codec(ABC):
    """A reading of the rows of a vocabulary as bytes. Control rows have none, and no text encodes to one."""

    @property
    @abstractmethod
    def vocabulary(self) -> Vocabulary:
        """The rows and their roles."""

    @property
    @abstractmethod
    def tokens(self) -> tuple[bytes, ...]:
        """The bytes of every row, which need not be whole characters."""

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """`byte` where every token is one byte."""

    @property
    def start(self) -> int | None:
        """The row that stands before every text of a causal model, from which it predicts the first token."""
        return None

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Ids of real tokens alone, whatever the text spells."""

    def context(self, text: str) -> list[int]:
        """Ids of text that is seen and never predicted, which may hold what a tokenizer has no token for."""
        return self.encode(text)

    def pieces(self, text: str) -> list[tuple[int, bytes]]:
        """The ids of a text, each with what it stands for there, which together is the text where that can be said."""
        return [(row, self.tokens[row]) for row in self.encode(text)]

    @property
    def leading(self) -> bool:
        """Whether there are tokens that take the space before a word along."""
        return any(token.startswith(b" ") and token.strip() for token in self.tokens)

    @property
    def spaced(self) -> bool:
        """Whether the first token of a word has a space wherever it stands, also where a text has none before it."""
        return False

    @property
    def continuing(self) -> "Codec":
        """What encodes a text that stands right after another: itself, but where every text gets a space before it."""
        return self

    @property
    def after_control(self) -> "Codec":
        """What encodes a text that stands right after a control token."""
        return self

    @property
    def surroundings(self) -> Surroundings:
        """What stands around every text."""
        return NONE

    @property
    def controls(self) -> Mapping[str, Control]:
        """What only a template may write, by its text."""
        return {}

    def token_bytes(self, token: int) -> bytes:
        """The bytes of one row."""
        return self.tokens[token]

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        return b"".join(self.tokens[token] for token in ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of some ids. Bytes that are not UTF-8 (a character cut in two) are shown as U+FFFD."""
        return self.decode_bytes(ids).decode(errors="replace")
