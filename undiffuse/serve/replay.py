"""A stream that is taken up again: what a second replica sends, without what a client has already.

Every request has a seed, so another replica makes the same text. But it sends it in other pieces, since a piece is what
had been decided when a reader came by, and under another id. So the text is counted, for each of the answers of a
request: of a second stream its beginning is left out, up to where the first one broke off, and compared on the way.
Patches are left out up to the step that was reached; the next one holds all that changed since a step before that, and
saying twice how a position stands changes nothing. Where the second text differs (sums in float32 round otherwise
in batches of another shape), there is no way on, and that is said.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

DONE = b"data: [DONE]\r\n\r\n"
USED = -1
"""Stands for what comes after all answers, among the numbers of those that have ended."""


class DifferentError(Exception):
    """A second replica made another text than the one that was sent."""


def event(content: Any) -> bytes:
    """An object as a server-sent event."""
    return b"data: " + json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode() + b"\r\n\r\n"


@dataclass(eq=False)
class Replay:
    """What a client was sent of a stream of events, and what it still needs of the next one."""

    texts: dict[int, str] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    step: tuple[int, int] = (-1, -1)
    head: dict[str, Any] = field(default_factory=dict)
    over: bool = False
    _held: bytes = b""
    _behind: dict[int, str] = field(default_factory=dict)

    def again(self) -> None:
        """A new stream begins, from its start."""
        self._held = b""
        self._behind = dict(self.texts)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The events that a piece of the stream completes, as they are to be sent. DifferentError, see above."""
        self._held += data
        while b"\r\n\r\n" in self._held:
            whole, self._held = self._held.split(b"\r\n\r\n", 1)
            whole += b"\r\n\r\n"
            if not whole.startswith(b"data: "):
                yield whole  # a comment, which keeps the connection alive
            elif whole == DONE:
                self.over = True
                yield whole
            else:
                content = json.loads(whole[len(b"data: ") :])
                kept = self._kept(content)
                if kept is not None:
                    yield whole if kept is content else event(kept)

    def _kept(self, content: dict[str, Any]) -> dict[str, Any] | None:
        """What of an event is new: the event itself, a shorter one, or None."""
        if "error" in content:
            return content
        named: dict[str, Any] = {name: content[name] for name in ("id", "created") if name in content}
        self.head = self.head or named
        found = content if named == self.head else {**content, **self.head}
        choices = content.get("choices")
        if choices == [] or content["object"] == "result":  # what was used, or our own endpoints' answer: the last one
            once = USED not in self.ended
            self.ended.add(USED)
            return found if once else None
        index = _index(content)
        first = index not in self.texts
        text = self._text(content)
        new = self._new(index, text)
        patches = self._patches(content)
        last = choices is not None and choices[0].get("finish_reason") is not None
        if (last and index in self.ended) or not (new or patches or first or last):
            return None
        self.ended |= {index} if last else set()
        if new != text or (not patches and "patches" in _diffusion(content)):
            found = _shortened(found, new, patches)
        return found

    def _text(self, content: dict[str, Any]) -> str:
        if "choices" not in content:
            found = content.get("text")
        else:
            choice = content["choices"][0]
            found = choice["text"] if "text" in choice else choice["delta"].get("content")
        return found or ""

    def _new(self, index: int, text: str) -> str:
        """What a client lacks of a piece of text."""
        behind = self._behind.get(index, "")
        known = text[: len(behind)]
        if not behind.startswith(known):
            raise DifferentError
        self._behind[index] = behind[len(known) :]
        new = text[len(known) :]
        self.texts[index] = self.texts.get(index, "") + new
        return new

    def _patches(self, content: dict[str, Any]) -> bool:
        """Whether an event has patches of a later step than those that were sent."""
        told = _diffusion(content)
        if "patches" not in told:
            return False
        at = (_index(content) * 1_000_000 + told["part"], told["step"])
        if at <= self.step:
            return False
        self.step = at
        return True


def _index(content: dict[str, Any]) -> int:
    """Which of the answers of a request an event is of."""
    return int(content["choices"][0]["index"]) if content.get("choices") else 0


def _diffusion(content: dict[str, Any]) -> dict[str, Any]:
    """Where an event has its patches."""
    found = content.get("diffusion", content)
    return found if isinstance(found, dict) else {}


def _shortened(content: dict[str, Any], text: str, patches: bool) -> dict[str, Any]:
    """An event with another text, and without patches that are old."""
    found = dict(content)
    if "choices" in found:
        choice = dict(found["choices"][0])
        if "text" in choice:
            choice["text"] = text
        elif "content" in choice["delta"]:
            choice["delta"] = {**choice["delta"], "content": text}
        found["choices"] = [choice]
        if not patches and "patches" in found.get("diffusion", {}):
            del found["diffusion"]
    elif "text" in found or text:
        found["text"] = text
    return found
