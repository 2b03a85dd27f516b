"""Chat templates: a conversation as the text that an instructed model was trained on, in Jinja as Hugging Face has it.

A template is a program of whoever published a model, so it runs in a `sandbox`, and the texts of a conversation are
traced through it: `conversation` reads control tokens in what the template itself writes, and never in a message.
"""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from jinja2 import Template as Compiled
from jinja2 import TemplateSyntaxError

from ..errors import UserError, did_you_mean
from .budget import CHARACTERS, STEPS, Budget
from .sandbox import RefusedError, Sandbox
from .traced import Traced, from_message

ROLES = ("system", "user", "assistant", "tool")
LONGEST = 1_000_000
"""Characters of a template."""
Message = Mapping[str, Any]
"""`role` and `content`, and whatever else a template reads."""


@dataclass(frozen=True)
class Template:
    """A template's source, the special tokens that it may name (`bos_token`), and where it is from, for errors."""

    source: str
    names: Mapping[str, str] = field(default_factory=dict)
    where: str = "the chat template"

    def __post_init__(self) -> None:
        if len(self.source) > LONGEST:
            raise UserError(f"{self.where} has {len(self.source)} characters, and none needs more than {LONGEST}")
        self._compiled(Budget())

    @classmethod
    def known(cls, name: str, names: Mapping[str, str]) -> "Template":
        """One of those that come with the package, for families whose directories may have none."""
        path = files(__package__) / "templates" / f"{name}.jinja"
        return cls(path.read_text(encoding="utf-8"), names, f"the chat template {name!r}")

    def render(self, messages: Sequence[Message], *, answer: bool, **variables: Any) -> Traced:
        """The text of a conversation, up to where the model's next answer begins if an `answer` is asked for.

        Further variables are the template's own; `enable_thinking` is false if nothing is said. UserError for what is
        no conversation, for what the template refuses, and where it fails or does not end.
        """
        conversation = [_traced(message) for message in checked(messages)]
        size = sum(len(str(value)) for message in conversation for value in message.values())
        compiled = self._compiled(
            Budget(CHARACTERS + (100 + len(conversation)) * size, STEPS + 1000 * len(conversation))
        )
        variables = {"enable_thinking": False, "tools": None, "documents": None, **from_message(variables)}
        given = {**self.names, **variables, "messages": conversation, "add_generation_prompt": answer}
        try:
            return Traced.of(compiled.render(given))
        except RefusedError as said:
            raise UserError(f"{self.where} refuses this conversation: {said}") from None
        except Exception as error:  # a stranger's program: whatever it raises is its own mistake
            raise self._failed(error) from error

    def _compiled(self, budget: Budget) -> Compiled:
        try:
            return Sandbox(budget).from_string(self.source)
        except TemplateSyntaxError as error:
            raise UserError(f"{self.where}, line {error.lineno}: {error.message}") from error
        except Exception as error:  # Python's own limits on what was made of it
            raise UserError(f"{self.where} cannot be read: {_said(error)}") from error

    def _failed(self, error: Exception) -> UserError:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<template>"]
        return UserError(f"{self.where}{f', line {lines[-1]}' if lines else ''}: {_said(error)}")


def known_templates() -> tuple[str, ...]:
    """Names of the templates that come with the package."""
    names = (path.name for path in (files(__package__) / "templates").iterdir())
    return tuple(sorted(name.removesuffix(".jinja") for name in names if name.endswith(".jinja")))


def checked(messages: Sequence[Message]) -> Sequence[Message]:
    """The messages of a conversation; UserError for anything else."""
    if isinstance(messages, str | Mapping) or not isinstance(messages, Sequence) or not messages:
        raise UserError(
            'a conversation is a list of messages, such as [{"role": "user", "content": "Hello"}], '
            f"not {_cut(repr(messages))}"
        )
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
            raise UserError(f'message {number} needs "role" and "content", and is {_cut(repr(message))}')
        if message["role"] not in ROLES:
            role = message["role"]
            near = did_you_mean(role, ROLES) if isinstance(role, str) else ""
            raise UserError(f"message {number}: the role is one of {', '.join(ROLES)}, not {_cut(repr(role))}{near}")
        if not isinstance(message["content"], str):
            raise UserError(f"message {number}: the content must be a string, not {_cut(repr(message['content']))}")
    return messages


def _traced(message: Message) -> dict[str, Any]:
    """A message whose texts say that they are one; its role is a word that is known."""
    return {name: str(value) if name == "role" else from_message(value) for name, value in message.items()}


def _said(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it goes deeper and deeper without end"
    text = str(error).replace(f"{Traced.__module__}.{Traced.__name__} object", "str object")
    return _cut(" ".join(text.replace(f"'{Traced.__name__}'", "'str'").split())) or type(error).__name__


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"
