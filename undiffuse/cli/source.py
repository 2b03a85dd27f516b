"""Where a verb's text comes from: the command line, a file, or standard input; and where results go, exactly."""

import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..json_text import parsed

JSONL = (".jsonl", ".ndjson")
_OVERRIDE = re.compile(r"[A-Za-z_][\w.-]*=")


def read_text(text: str | None, file: Path | None) -> str:
    """The text of `TEXT`, `--file F` or `-`, bit for bit; UserError unless there is exactly one and it is UTF-8."""
    if (text is None) == (file is None):
        raise UserError("give one text: as an argument, with --file FILE, or - to read standard input")
    if file is not None:
        return decode(_bytes_of(file), str(file))
    assert text is not None
    if text == "-":
        return decode(sys.stdin.buffer.read(), "standard input")
    return decode(text.encode("utf-8", "surrogateescape"), "TEXT")  # the shell hands over any bytes


def read_several(texts: list[str] | None, file: Path | None) -> str | list[str]:
    """The text of `TEXT`, `--file F` or `-`; a list where several are given, or the file is JSONL, of its records."""
    if file is not None and not texts and file.suffix.lower() in JSONL:
        found, prompts = read_texts([str(file)])
        if any(prompts):
            raise UserError(f'{file} has records with a prompt, and what is filled is the "text" of each record')
        return found
    if texts and len(texts) > 1 and file is None:
        return [read_text(text, None) for text in texts]
    if texts and len(texts) > 1:
        raise UserError("give texts as arguments, or with --file FILE, not both")
    return read_text(texts[0] if texts else None, file)


def refuse_several(source: str | list[str], option: str) -> None:
    """UserError where an option is given that is about one text."""
    if not isinstance(source, str):
        raise UserError(f"{option} is for one text at a time, and there are {len(source)}: give one, or leave it out")


def read_texts(files: list[str]) -> tuple[list[str], list[str | None]]:
    """The documents of text files, JSONL files, directories and standard input, as `train` reads them, and prompts.

    What is to be known of how they were read is said.
    """
    from ..data.readers import read
    from .console import stderr

    corpus = read(files, minimum_bytes=1)
    for note in corpus.told:
        stderr().print(f"note: {note}", markup=False, soft_wrap=True)
    documents = corpus.documents
    return [document.text for document in documents], [document.prompt for document in documents]


def decode(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{name} is not UTF-8: byte {data[error.start]:#04x} at offset {error.start} (line {line}); "
            f"convert it, for example with `iconv -t utf-8`"
        ) from error


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"there is no file {file}") from None
    except IsADirectoryError:
        raise UserError(f"{file} is a directory; name a file") from None


def split_overrides(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Files and KEY=VALUE, which share one place on the command line. What exists as a file is a file."""
    overrides = [text for text in arguments if _OVERRIDE.match(text) and not Path(text).exists()]
    return [text for text in arguments if text not in overrides], overrides


def with_settings(options: dict[str, Any], pairs: list[str] | None, verb: Callable[..., object]) -> dict[str, Any]:
    """The options of a verb of `LanguageModel` with those of NAME=VALUE added.

    Values are numbers, true, false and null as in JSON, anything else is text. UserError for what is no NAME=VALUE, is
    given twice, or has an option of its own.
    """
    found = dict(options)
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        name = name.strip().replace("-", "_")
        if not equals or not name.isidentifier():
            raise UserError(f"--set takes NAME=VALUE, such as threshold=0.7, not {pair!r}")
        if name in options:
            raise UserError(f"{name} has an option of its own: --{name.replace('_', '-')} {value}")
        if name in found:
            raise UserError(f"--set gives {name} twice")
        if name in inspect.signature(verb).parameters:
            raise UserError(f"{name} is no option of a strategy, and --set cannot give it")
        try:
            found[name] = parsed(value)
        except ValueError:
            found[name] = value
    return found
