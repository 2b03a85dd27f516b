"""The files of a published model as they are read here: a directory, or one file that holds the same."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from .stored_tensors import CONFIG, HeaderOf, Tensors, read_json


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
    @abstractmethod
    def license(self) -> str | None:
        """Under what it is published, where the files say."""

    @property
    def config_source(self) -> str:
        """What says the things that a config.json says."""
        return CONFIG

    @property
    def template_source(self) -> str:
        """Where a chat template stands that has no file of its own."""
        return "tokenizer_config.json"

    @property
    def no_tokenizer(self) -> str:
        """Where there is none: why, or what to do."""
        return "put the family's tokenizer.json, or its vocab.json and merges.txt, into the directory"


@dataclass(frozen=True)
class DirectoryFiles(PublishedFiles):
    """A directory with a config.json and safetensors, or what reads the `header` of those that are not here."""

    directory: Path
    header: HeaderOf | None = None

    @property
    def where(self) -> Path:
        return self.directory

    def json(self, name: str) -> dict[str, Any]:
        return read_json(self.directory / name)

    def text(self, name: str) -> str | None:
        path = self.directory / name
        return read_text(path) if path.is_file() else None

    def tensors(self) -> Tensors:
        return Tensors.of(self.directory, self.header)

    @property
    def license(self) -> str | None:
        return license_in(self.directory)


def license_in(directory: Path) -> str | None:
    """The license that a README names in its front matter, or the first line of a license's own file."""
    readme = directory / "README.md"
    if readme.is_file():
        front = re.match(r"---\s*\n(.*?)\n---", readme.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
        named = front and re.search(r"^license(?:_name)?:[ \t]*[\"']?([\w .+-]+)", front[1], re.MULTILINE)
        if named:
            return named[1].strip()
    for path in sorted(directory.glob("LICEN[CS]E*")):
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else []
        return next((line.strip()[:80] for line in lines if line.strip()), None)
    return None


def read_text(path: Path) -> str:
    """What a file holds; UserError for one that cannot be read, or is no text."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is no text in UTF-8: {error}") from error
