"""Writes that happen entirely or not at all, also when the process is killed or the disk is full.

Everything is written beside its target under a hidden name, flushed to the disk, and renamed: a rename is atomic on
every file system that matters, so a reader sees the old content or the new, never a part.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from .errors import UserError

PARTIAL = ".partial-"
"""Prefix of what is still being written. Such names may be deleted whenever no writer is at work."""
LOCKED = 1 << 30
"""The byte of a file that is locked on Windows, which may lie beyond its end."""


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turns a failed write (full disk, quota, permissions) into one message about `path`."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; what was there before is untouched. "
            f"Make room (an interrupted training run then goes on with: undiffuse train --resume DIR)"
        ) from error


def flush(file_descriptor_of: Path) -> None:
    """Forces a file or a directory to the disk; Windows has no such thing for directories."""
    windows = sys.platform == "win32"
    if windows and file_descriptor_of.is_dir():
        return
    descriptor = os.open(file_descriptor_of, os.O_RDWR if windows else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock(file: IO[bytes]) -> None:
    """Keeps other processes from locking an open file until it is closed. BlockingIOError if one has."""
    if sys.platform == "win32":
        import msvcrt

        position = file.tell()
        file.seek(LOCKED)  # others may read what is locked on other systems, so a byte is that nobody reads
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(f"{file.name} is locked") from error
        finally:
            file.seek(position)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def new_directory(target: Path) -> Iterator[Path]:
    """A directory to fill, which becomes `target` when the block ends without an error; else nothing remains.

    UserError if it cannot be written, or if `target` has come into being meanwhile.
    """
    with reported(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{target.name}-", dir=target.parent))
        try:
            yield partial
            for written in sorted(partial.iterdir()):
                flush(written)
            flush(partial)
            partial.chmod(0o755)
            partial.rename(target)
            flush(target.parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def write_bytes(target: Path, content: bytes) -> None:
    """Replaces a file, or creates it. UserError if it cannot be written."""
    with reported(target):
        descriptor, name = tempfile.mkstemp(prefix=f"{PARTIAL}{target.name}-", dir=target.parent)
        partial = Path(name)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.chmod(0o644)
            partial.replace(target)
            flush(target.parent)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


def write_json(target: Path, content: object) -> None:
    """Replaces a JSON file, or creates it. UserError if it cannot be written.

    Bytes of a name that are not UTF-8, surrogates in Python, are written as JSON's escapes and read back as such.
    """
    write_bytes(target, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode(errors="backslashreplace"))


def sweep(directory: Path) -> None:
    """Removes what writers that were killed have left behind."""
    for left in directory.glob(f"{PARTIAL}*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
