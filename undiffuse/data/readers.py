"""Files to documents: plain text, JSONL, directories of these, and standard input."""

import difflib
import re
import sys
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import UserError
from ..json_text import parsed
from .corpus import Corpus, Document
from .shapes import FIELDS, document, is_record

MINIMUM_BYTES = 256
JSONL = (".jsonl", ".ndjson")
CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")  # text has tabs, line ends, form feeds, escape sequences


class NotTextError(UserError):
    """A file that is empty, binary or not UTF-8: an error where it was named, passed over where a directory was."""


def read(paths: Sequence[str | Path], *, minimum_bytes: int = MINIMUM_BYTES) -> Corpus:
    """The documents of all paths in order; `-` is standard input.

    A text file is one document, bit for bit; a JSONL file holds one per line. Standard input and `.json` files are
    texts too, unless all of their lines are such records, or they are an array of strings or records. Directories are
    read recursively in the order of their names, without hidden files. `Corpus.notes` say what was passed over there,
    and what was recognized. UserError names file, line and byte of whatever cannot be read.
    """
    documents: list[Document] = []
    notes: list[str] = []
    for path in map(str, paths):
        if path == "-":
            name = "standard input"
            found, said = _recognized(_decode(sys.stdin.buffer.read(), name), name)
        else:
            found, said = _directory(Path(path)) if Path(path).is_dir() else _file(Path(path))
        documents += found
        notes += said
    corpus = Corpus(tuple(documents), tuple(notes))
    if corpus.bytes < minimum_bytes:
        names = ", ".join(map(str, paths)) or "nothing"
        raise UserError(f"{names}: {corpus.bytes} bytes are too little to learn from; give at least {minimum_bytes}")
    return corpus


def _directory(folder: Path) -> tuple[list[Document], list[str]]:
    documents: list[Document] = []
    notes: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if not path.is_file():  # opening a pipe would wait for whoever writes to it
            what = "a link to nothing" if path.is_symlink() else "no file"
            notes.append(f"passed over: {path} is {what}")
            continue
        try:
            found, said = _file(path)
        except NotTextError as error:
            notes.append(f"passed over: {error}")
        else:
            documents += found
            notes += said
    if not documents:
        seen = f" ({notes[0]})" if notes else ""
        raise UserError(f"{folder}: no text or JSONL file in this directory{seen}; give a file, or another directory")
    return documents, notes


def _file(path: Path) -> tuple[list[Document], list[str]]:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        if path.is_symlink():
            raise UserError(f"{path} is a link to {path.readlink()}, which is not there") from error
        raise UserError(f"there is no file {path}{_nearest(path)}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    text = _decode(data, str(path))
    if path.suffix.lower() in JSONL:
        return list(_records(text, str(path))), []
    return _recognized(text, str(path)) if path.suffix.lower() == ".json" else ([Document(text)], [])


def _recognized(text: str, name: str) -> tuple[list[Document], list[str]]:
    """The documents of what must be JSON, though no name says so, else the text itself; and what it was taken for."""
    if _is_jsonl(text):
        return list(_records(text, name)), [f"{name} is read as JSONL: each of its lines is a record with {FIELDS}"]
    try:
        value = parsed(text) if text.lstrip().startswith(("[", "{")) else None
    except ValueError:
        value = None
    if isinstance(value, list) and value and all(isinstance(item, str) or is_record(item) for item in value):
        documents = [_item(item, f"{name}: item {number}") for number, item in enumerate(value, start=1)]
        return documents, [f"{name} is read as an array of {len(documents)} documents"]
    if value is None:
        return [Document(text)], []
    known = f"JSONL, or an array of strings or of objects with {FIELDS}, would be read as documents"
    return [Document(text)], [f"{name} is read as plain text, signs of JSON included; {known}"]


def _is_jsonl(text: str) -> bool:
    try:
        lines = (line for line in text.split("\n") if line.strip())
        return all(line.lstrip().startswith("{") and is_record(parsed(line)) for line in lines)
    except ValueError:
        return False


def _item(item: str | dict[str, object], where: str) -> Document:
    return document({"text": item} if isinstance(item, str) else item, where)


def _nearest(path: Path) -> str:
    names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {path.parent / near[0]}?" if near else "; check the path"


def _decode(data: bytes, name: str) -> str:
    data = data.removeprefix(BOM_UTF8)
    if not data.strip():
        raise NotTextError(f"{name} is empty; give a text")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise NotTextError(
            f"{name} is not UTF-8: byte 0x{data[error.start]:02x} at {_place(data, error.start)}; "
            f"convert it: iconv -f ENCODING -t UTF-8"
        ) from error
    control = CONTROL.search(data)
    if control:
        byte = data[control.start()]
        raise NotTextError(f"{name} is not text: control byte 0x{byte:02x} at {_place(data, control.start())}")
    return text


def _place(data: bytes, offset: int) -> str:
    line = data.count(b"\n", 0, offset) + 1
    return f"line {line}, byte {offset}"


def _records(text: str, name: str) -> Iterator[Document]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{name}:{number}"
        try:
            record = parsed(line)
        except ValueError as error:
            raise UserError(f"{where}: {error}; each line is one record") from error
        if not isinstance(record, dict):
            raise UserError(f"{where}: a record is an object with {FIELDS}, not {type(record).__name__}")
        yield document(record, where)
