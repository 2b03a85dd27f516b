"""Writes that happen entirely or not at all."""

import errno
import os
import sys
from types import SimpleNamespace

import pytest

from undiffuse import durable
from undiffuse.durable import PARTIAL, new_directory, sweep, write_bytes, write_json
from undiffuse.errors import UserError


def no_space(*arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_file_is_replaced_or_stays_as_it_was(tmp_path, monkeypatch):
    target = tmp_path / "file"
    write_bytes(target, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        with pytest.raises(
            UserError, match=f"cannot write {target}: No space left on device; what was there before is"
        ):
            write_bytes(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
    write_json(target, {"ü": 1})
    assert target.read_text() == '{\n  "ü": 1\n}\n'
    assert target.stat().st_mode & 0o777 == 0o644


def test_a_directory_appears_when_it_is_complete(tmp_path):
    target = tmp_path / "deep" / "run"
    with new_directory(target) as partial:
        (partial / "a").write_text("content")
        assert not target.exists()
    assert (target / "a").read_text() == "content"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError()])
def test_a_directory_that_fails_leaves_nothing(tmp_path, error):
    expected = UserError if isinstance(error, OSError) else type(error)

    def fail() -> None:
        with new_directory(tmp_path / "run") as partial:
            (partial / "a").write_text("content")
            raise error

    with pytest.raises(expected):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_never_replaced(tmp_path):
    target = tmp_path / "run"

    def write() -> None:
        with new_directory(target):
            target.mkdir()
            (target / "theirs").write_text("content")

    with pytest.raises(UserError, match=r"cannot write .*run: Directory not empty"):
        write()
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "theirs"]


def test_sweeping_removes_only_what_writers_left(tmp_path):
    (tmp_path / f"{PARTIAL}file").write_text("")
    (tmp_path / f"{PARTIAL}directory").mkdir()
    (tmp_path / f"{PARTIAL}directory" / "a").write_text("")
    (tmp_path / "kept").write_text("")
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_on_windows_a_byte_is_locked_that_nobody_reads_and_directories_are_not_flushed(tmp_path, monkeypatch):
    """By a stand-in for `msvcrt`: what Windows itself does is not shown."""
    locked: list[tuple[int, int, int]] = []

    def locking(descriptor: int, mode: int, count: int) -> None:
        place = os.lseek(descriptor, 0, os.SEEK_CUR), mode, count
        if place in locked:
            raise PermissionError(13, "Permission denied")
        locked.append(place)

    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(locking=locking, LK_NBLCK=2))
    monkeypatch.setattr(sys, "platform", "win32")
    path = tmp_path / "lines"
    path.write_bytes(b"abc\n")
    with path.open("ab") as file:
        durable.lock(file)
        assert locked == [(durable.LOCKED, 2, 1)]
        file.write(b"def\n")
        with path.open("ab") as other, pytest.raises(BlockingIOError):
            durable.lock(other)
    assert path.read_bytes() == b"abc\ndef\n"
    monkeypatch.setattr(os, "fsync", lambda descriptor: os.write(descriptor, b"ghi\n"))  # fails for what is read alone
    durable.flush(path)
    durable.flush(tmp_path)
    assert path.read_bytes().startswith(b"ghi\n")
