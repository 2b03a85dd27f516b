"""From the engine's thread to a client: messages in order, and a slow reader costs nobody anything.

The engine puts without waiting. What a reader has not taken yet is merged: patches of several steps become one that
says the same, so a mailbox holds at most one canvas of patches, however long nobody reads.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from .job import Cancelled, Done, Failed, Message, Stepped


class Mailbox:
    """What one job was told, for one reader on an event loop. `merge` makes one of two things told by steps."""

    def __init__(self, merge: Callable[[Any, Any], Any]) -> None:
        self._merge = merge
        self._held: list[Message] = []
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()

    def put(self, message: Message) -> None:
        """From any thread; returns at once."""
        with self._lock:
            last = self._held[-1] if self._held else None
            if isinstance(message, Stepped) and isinstance(last, Stepped):
                self._held[-1] = Stepped(self._merge(last.told, message.told))
            else:
                self._held.append(message)
        self._loop.call_soon_threadsafe(self._ready.set)

    async def get(self) -> Message:
        """The next message."""
        while True:
            with self._lock:
                if self._held:
                    return self._held.pop(0)
                self._ready.clear()
            await self._ready.wait()

    def give_back(self, message: Message) -> None:
        """Put a message that was taken before all others."""
        with self._lock:
            self._held.insert(0, message)
        self._ready.set()

    async def last(self) -> Done | Failed | Cancelled:
        """How the job ended, whatever came before."""
        while True:
            message = await self.get()
            if isinstance(message, Done | Failed | Cancelled):
                return message
