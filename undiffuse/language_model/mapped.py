"""Files as memory: read when they are looked at, and never written."""

import mmap
import sys
from pathlib import Path

NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000) if sys.platform == "linux" else 0
"""Pages that could be written, and will not be, do not count: a file may be larger than the memory."""


def mapped(path: Path) -> mmap.mmap:
    """All of a file that is not empty. OSError where that cannot be.

    Torch makes tensors of memory that can be written alone; what would be written to this stays in the process.
    """
    with path.open("rb") as file:
        if hasattr(mmap, "MAP_PRIVATE"):
            prot = mmap.PROT_READ | mmap.PROT_WRITE
            return mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE | NORESERVE, prot=prot)
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
