"""The checksum of what is read, found beside the reading."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from mmap import mmap
from threading import Event

PIECE = 1 << 24
"""Bytes between two looks at whether somebody still waits."""


@contextmanager
def checksum(content: bytes | mmap) -> Iterator[Callable[[], str]]:
    """What waits for the sha256 of some memory and gives it, in hexadecimal digits.

    It is computed in a thread, which lets all others run meanwhile, and given up when the block is left.
    """
    left = Event()

    def digest() -> str:
        found = hashlib.sha256()
        with memoryview(content) as whole:
            for begin in range(0, len(whole), PIECE):
                if left.is_set():
                    break
                found.update(whole[begin : begin + PIECE])
        return found.hexdigest()

    with ThreadPoolExecutor(1, "checksum") as pool:
        try:
            yield pool.submit(digest).result
        finally:
            left.set()
