"""Documents, and a corpus of them."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

from ..errors import UserError

SHOWN = 5
"""Notes of a corpus that are shown one by one."""
ANSWERS = "assistant"
"""The role whose messages are learned."""


@dataclass(frozen=True)
class Turn:
    """A message of a conversation; `weight` multiplies what each token of an answer adds to the loss (0: only read)."""

    role: str
    content: str
    weight: float = 1.0

    @property
    def learned(self) -> bool:
        return self.role == ANSWERS and self.weight > 0


@dataclass(frozen=True)
class Document:
    """A text that is learned, after a prompt that is only read (None where there is no prompt).

    Of a conversation, `messages`, the answers are learned; `text` is all of them, and there is no `prompt`.
    """

    text: str
    prompt: str | None = None
    messages: tuple[Turn, ...] = ()

    @classmethod
    def conversation(cls, messages: tuple[Turn, ...]) -> "Document":
        """UserError where nothing is to be learned."""
        text = "\n".join(turn.content for turn in messages if turn.learned)
        if not text:
            raise UserError(f'no message with the role "{ANSWERS}" and a weight above 0: there is nothing to learn')
        return cls(text, None, messages)

    @property
    def answers(self) -> bool:
        """Whether what is learned answers something that is only read."""
        return self.prompt is not None or bool(self.messages)

    @property
    def asked(self) -> str:
        """What comes before the first thing that is learned, whatever its form; the text itself where nothing does."""
        if self.prompt is not None:
            return self.prompt
        if not self.messages:
            return self.text
        first = next(number for number, turn in enumerate(self.messages) if turn.learned)
        return json.dumps([[turn.role, turn.content] for turn in self.messages[:first]])

    def singly(self) -> Iterator["Document"]:
        """Each learned answer by itself, after all that was said before it, which is then only read."""
        for number, turn in enumerate(self.messages):
            if turn.learned:
                before = (Turn(each.role, each.content, 0.0) for each in self.messages[:number])
                yield Document.conversation((*before, turn))

    def to_dict(self) -> dict[str, object]:
        """What JSON holds; `of` is the inverse."""
        return {name: value for name, value in asdict(self).items() if name != "messages" or value}

    @classmethod
    def of(cls, record: Mapping[str, object]) -> "Document":
        """KeyError, TypeError or ValueError for what `to_dict` did not make."""
        messages = record.get("messages", ())
        turns = tuple(Turn(**each) for each in messages)  # type: ignore[attr-defined]
        return cls(**{**record, "messages": turns})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Corpus:
    """Documents in reading order. `notes` say which files of a directory were passed over, and what was recognized."""

    documents: tuple[Document, ...]
    notes: tuple[str, ...] = ()

    @property
    def told(self) -> tuple[str, ...]:
        """The notes that are shown: the first few, and how many more there are."""
        more = len(self.notes) - SHOWN
        return self.notes if more <= 1 else (*self.notes[:SHOWN], f"and so for {more} more files")

    @cached_property
    def bytes(self) -> int:
        """UTF-8 bytes of the learned texts, prompts not counted."""
        return sum(len(document.text.encode()) for document in self.documents)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all texts and prompts, their bounds included."""
        content = hashlib.sha256()
        for document in self.documents:
            said = json.dumps([asdict(turn) for turn in document.messages]) if document.messages else None
            for part in (document.prompt, document.text, *([said] if said else [])):
                data = b"" if part is None else part.encode()
                content.update(b"%d:" % (-1 if part is None else len(data)) + data)
        return content.hexdigest()
