"""A conversation at the command line: what was said, and what one can do with it."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError

if TYPE_CHECKING:
    from ..decode.event import Event
    from ..language_model import Answer, LanguageModel

    OnEvent = Callable[[Event], None]


@dataclass
class Session:
    """Messages so far, and how answers are made. After an interruption the last message is a question.

    `note` is told what the user should know. Answers are counted from 1.
    """

    model: "LanguageModel"
    options: dict[str, Any]
    seed: int
    note: Callable[[str], None]
    messages: list[dict[str, str]] = field(default_factory=list)
    retries: int = 0

    @classmethod
    def begun(
        cls,
        model: "LanguageModel",
        options: dict[str, Any],
        system: str | None,
        seed: int,
        note: Callable[[str], None],
    ) -> "Session":
        """A conversation in which nothing was asked yet. UserError for what could not be answered at all."""
        messages = [] if system is None else [{"role": "system", "content": system}]
        model.fitting([*messages, {"role": "user", "content": ""}], **options, seed=seed)
        return cls(model, options, seed, note, messages)

    @property
    def answers(self) -> list[int]:
        """Where the answers stand among the messages."""
        return [place for place, message in enumerate(self.messages) if message["role"] == "assistant"]

    @property
    def _open(self) -> bool:
        return bool(self.messages) and self.messages[-1]["role"] == "user"

    def ask(self, text: str, on_event: "OnEvent | None" = None) -> "Answer":
        """The answer to a message, which takes the place of one that was not answered."""
        if self._open:
            self.messages.pop()
        self.messages.append({"role": "user", "content": text})
        self.retries = 0
        return self._answer(on_event)

    def retry(self, on_event: "OnEvent | None" = None) -> "Answer":
        """Another answer to the last message, by the next seed; to one that was interrupted, by the same."""
        if not self._open and not self.answers:
            raise UserError("nothing was asked yet")
        before = list(self.messages), self.retries
        if not self._open:
            del self.messages[self.answers[-1] :]
            self.retries += 1
        try:
            return self._answer(on_event)
        except BaseException:
            self.messages, self.retries = before
            raise

    def _answer(self, on_event: "OnEvent | None") -> "Answer":
        seed = self.seed + self.retries
        kept = self.model.fitting(self.messages, **self.options, seed=seed)
        if len(kept) < len(self.messages):
            left = len(self.messages) - len(kept)
            self.note(f"the model's context is full: it does not see the earliest {left} messages")
        answer = self.model.chat(kept, **self.options, seed=seed, on_event=on_event)
        self.messages.append({"role": "assistant", "content": answer.text})
        return answer

    def numbered(self, argument: str) -> tuple[int, str]:
        """`N TEXT`, or `TEXT` for the last answer: where the answer stands, and the text."""
        if not self.answers:
            raise UserError("there is no answer yet")
        first, _, rest = argument.partition(" ")
        if not first.isdecimal():
            return self.answers[-1], argument
        if not 1 <= int(first) <= len(self.answers):
            raise UserError(f"there are answers 1 to {len(self.answers)}, and no answer {first}")
        return self.answers[int(first) - 1], rest.strip()

    def edit(self, argument: str) -> None:
        """Another text in the place of an answer."""
        place, text = self.numbered(argument)
        if not text:
            raise UserError(f"say what it should be: /edit {self.answers.index(place) + 1} TEXT")
        self.messages[place]["content"] = text

    def fill(self, argument: str, on_event: "OnEvent | None" = None) -> "Answer":
        """An answer with blanks, given one or as it stands, filled given everything else."""
        from ..language_model import Answer

        place, text = self.numbered(argument)
        asked = [dict(message) for message in self.messages]
        asked[place]["content"] = text or asked[place]["content"]
        options = {name: value for name, value in self.options.items() if name != "length"}
        text, filled = self.model.fill_answer(asked, place, **options, seed=self.seed, on_event=on_event)
        self.messages[place]["content"] = text
        return Answer(text, len(self.model.tokenizer.encode(text)), filled.nfe, filled.seed, self.model.name)

    def save(self, name: str) -> None:
        """The messages as JSON, or the answers as vectors where the name ends in `.npy`; never over a file."""
        from ..durable import write_bytes

        if not name:
            raise UserError("say where: /save FILE")
        path = Path(name)
        if path.exists():
            raise UserError(f"{path} exists and is not overwritten; choose another name")
        if path.suffix == ".npy":
            import numpy

            held = io.BytesIO()
            texts = [self.messages[place]["content"] for place in self.answers]
            numpy.save(held, self.model.embed(texts).numpy(), allow_pickle=False)
            write_bytes(path, held.getvalue())
            return
        write_bytes(path, (json.dumps(self.messages, ensure_ascii=False, indent=2) + "\n").encode())
