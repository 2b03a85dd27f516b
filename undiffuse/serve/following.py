"""What a client is told while a text is denoised: the decided prefix, and what changed at which position.

The **prefix** is text that stays: decided without a gap from the beginning, not of a window whose strategy may take it
back, whole characters, and without an end that may become a stop string. It only grows, so clients that append what
they receive end with the answer. **Patches** say more, and may be taken back: for every position that changed in a
step its token, the probability with which it was decided, and its state:

    fixed         given, never written           committed     decided, and stays
    pending       not decided                    provisional   decided, and may be taken back
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..decode.canvas import Canvas
from ..language_model import LanguageModel
from ..text.utf8 import whole_characters

FIXED, PENDING, PROVISIONAL, COMMITTED = "fixed", "pending", "provisional", "committed"


@dataclass(frozen=True, eq=False)
class Told:
    """What a step changed: more of the decided prefix of every row, and patches by (row, position)."""

    prefix: dict[int, str]
    patches: dict[tuple[int, int], dict[str, Any]]
    step: int
    nfe: int
    pending: int
    part: int
    begins: bool = False

    def merge(self, later: "Told") -> "Told":
        """Both as one."""
        prefix = {row: self.prefix.get(row, "") + later.prefix.get(row, "") for row in self.prefix | later.prefix}
        patches = later.patches if later.begins else {**self.patches, **later.patches}
        begins = self.begins or later.begins
        return Told(prefix, patches, later.step, later.nfe, later.pending, later.part, begins)


def merge(one: Told, other: Told) -> Told:
    """For a mailbox."""
    return one.merge(other)


@dataclass(eq=False)
class Follower:
    """Makes what is told of canvases, one after the other. `patches` and `prefix` ask for these.

    `stops` are strings that end a text, `ends` tokens that do. `cut` is taken off its beginning, a space that belongs
    to the tokenizer. `revocable` says that the strategy may take back what its window holds.
    """

    model: LanguageModel
    revocable: bool = False
    patches: bool = False
    prefix: bool = True
    stops: Sequence[str] = ()
    ends: frozenset[int] = frozenset()
    cut: str = ""
    written: dict[int, list[int]] = field(default_factory=dict)
    sent: dict[int, str] = field(default_factory=dict)
    _before: Canvas | None = None
    _part: int = -1
    _shown: dict[tuple[int, int], tuple[int, str]] = field(default_factory=dict)

    def __call__(self, canvas: Canvas, part: int) -> Told | None:
        """What a canvas adds; None where that is nothing."""
        begins = part != self._part
        if begins:
            self._finish()
            self._part, self._shown = part, {}
        self._before = canvas
        prefix = self._grown(canvas) if self.prefix else {}
        patches = self._patched(canvas) if self.patches else {}
        if not (prefix or patches):
            return None
        pending = int(canvas.pending.sum())
        return Told(prefix, patches, int(canvas.step.max()), int(canvas.nfe.max()), pending, part, begins)

    def _finish(self) -> None:
        """The rows of a part that is over are what its last canvas decided."""
        if self._before is not None:
            for row, ids in self._certain(self._before).items():
                self.written[row] = self.written.get(row, []) + ids

    def _certain(self, canvas: Canvas) -> dict[int, list[int]]:
        settled = canvas.certain(self.revocable, early=True)
        found = {}
        for row, mine in enumerate(settled):
            ids = canvas.ids[row, mine].tolist()
            end = next((place for place, token in enumerate(ids) if token in self.ends), len(ids))
            found[row] = ids[:end]
        return found

    def _grown(self, canvas: Canvas) -> dict[int, str]:
        grown = {}
        for row, ids in self._certain(canvas).items():
            data = self.model.tokenizer.decode_bytes(self.written.get(row, []) + ids)
            text = self._safe(whole_characters(data).removeprefix(self.cut))
            before = self.sent.get(row, "")
            if len(text) > len(before) and text.startswith(before):
                grown[row] = text[len(before) :]
                self.sent[row] = text
        return grown

    def _safe(self, text: str) -> str:
        """Up to a stop string, or to what may become one."""
        found = [place for stop in self.stops if (place := text.find(stop)) >= 0]
        if found:
            return text[: min(found)]
        hold = max(
            (size for stop in self.stops for size in range(1, len(stop)) if text.endswith(stop[:size])), default=0
        )
        return text[: len(text) - hold]

    def rest(self, row: int, text: str) -> str:
        """What is still to be sent of a text that is finished."""
        return text.removeprefix(self.sent.get(row, ""))

    def _patched(self, canvas: Canvas) -> dict[tuple[int, int], dict[str, Any]]:
        open_ = canvas.window & self.revocable if self.revocable else torch.zeros_like(canvas.pending)
        columns = (canvas.ids, canvas.pending, canvas.editable, canvas.valid, open_, canvas.commit_logp.double().exp())
        patches = {}
        for row, (ids, pending, editable, valid, open_now, chance) in enumerate(
            zip(*(column.tolist() for column in columns), strict=True)
        ):
            for position, token in enumerate(ids):
                if not valid[position]:
                    continue
                if not editable[position]:
                    state = FIXED
                elif pending[position]:
                    state, token = PENDING, -1
                else:
                    state = PROVISIONAL if open_now[position] else COMMITTED
                if self._shown.get((row, position)) == (token, state):
                    continue
                self._shown[row, position] = token, state
                patch: dict[str, Any] = {"row": row, "position": position, "state": state}
                if token >= 0:
                    patch |= {"id": token, "text": self.text(token)}
                if state in (PROVISIONAL, COMMITTED):
                    patch["confidence"] = round(chance[position], 6)
                patches[row, position] = patch
        return patches

    def text(self, token: int) -> str:
        """How a token is shown: its characters, or its bytes where they are none."""
        return self.model.tokenizer.token_bytes(token).decode("utf-8", "backslashreplace")
