"""The files of a published model as they are read here: a directory, or one file that holds the same."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from .stored_tensors import Tensors, read_json


class PublishedFiles(ABC):
    """JSON and texts by the names that they have in a directory, and tensors."""

    @property
    @abstractmethod
    def where(self) -> Path:
        """The directory or the file, for messages."""

    @abstractmethod
    def json(self, name: str) -> dict[str, Any]:
        """The object in a file, empty where there is no such file. UserError for a damaged one."""

    @abstractmethod
    def text(self, name: str) -> str | None:
        """A text in UTF-8, None where there is no such file."""

    @abstractmethod
    def tensors(self) -> Tensors:
        """All tensors by their published names; none is read."""

    @property
    def no_tokenizer(self) -> str:
        """Where there is none: why, or what to do."""
        return "put the family's tokenizer.json, or its vocab.json and merges.txt, into the directory"


@dataclass(frozen=True)
class DirectoryFiles(PublishedFiles):
    """A directory with a config.json and safetensors."""

    directory: Path

    @property
    def where(self) -> Path:
        return self.directory

    def json(self, name: str) -> dict[str, Any]:
        return read_json(self.directory / name)

    def text(self, name: str) -> str | None:
        path = self.directory / name
        return read_text(path) if path.is_file() else None

    def tensors(self) -> Tensors:
        return Tensors.of(self.directory)


def read_text(path: Path) -> str:
    """What a file holds; UserError for one that cannot be read, or is no text."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is no text in UTF-8: {error}") from error
