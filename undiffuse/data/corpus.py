"""Documents, and a corpus of them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

SHOWN = 5
"""Notes of a corpus that are shown one by one."""


@dataclass(frozen=True)
class Document:
    """A text that is learned, after a prompt that is only read (None where there is no prompt)."""

    text: str
    prompt: str | None = None


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
            for part in (document.prompt, document.text):
                data = b"" if part is None else part.encode()
                content.update(b"%d:" % (-1 if part is None else len(data)) + data)
        return content.hexdigest()
