"""Records of JSON as documents, in the shapes that data sets have: texts, pairs, instructions, conversations.

Names of fields decide, and other fields are left alone. A conversation begins with a question, after at most one system
message, and questions and answers take turns: what is out of order is an error, since a network would learn it.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import UserError, did_you_mean
from .corpus import ANSWERS, Document, Turn

Record = Mapping[str, Any]
FIELDS = (
    '"text", or "prompt" and "response", or "question" and "answer", "messages", "conversations", or "instruction" and '
    '"output"'
)
ROLES = ("system", "user", ANSWERS, "tool")
SHAREGPT = {"human": "user", "user": "user", "gpt": ANSWERS, ANSWERS: ANSWERS, "system": "system", "tool": "tool"}
"""Who speaks, by the names of that format."""


def _text(record: Record, where: str) -> Document:
    return Document(_string(record, "text", where))


def _pair(record: Record, where: str) -> Document:
    return Document(_string(record, "response", where), _string(record, "prompt", where, may_be_empty=True))


def _question(record: Record, where: str) -> Document:
    return Document(_string(record, "answer", where), _string(record, "question", where))


def _instruction(record: Record, where: str) -> Document:
    """Alpaca's: an instruction, what it is about if anything, and the answer."""
    about = _string(record, "input", where, may_be_empty=True) if record.get("input") else ""
    asked = _string(record, "instruction", where)
    return Document(_string(record, "output", where), f"{asked}\n\n{about}" if about else asked)


def _messages(record: Record, where: str) -> Document:
    """OpenAI's: `role`, `content` and, of an answer, perhaps a `weight`."""
    turns = [
        Turn(_role(each, "role", there), _content(each, there), _weight(each, there))
        for each, there in _listed(record, "messages", where)
    ]
    return _conversation(turns, where)


def _conversations(record: Record, where: str) -> Document:
    """ShareGPT's: `from` and `value`; a `system` message may stand beside them."""
    turns = [
        Turn(_role(each, "from", there, SHAREGPT), _string(each, "value", there))
        for each, there in _listed(record, "conversations", where)
    ]
    if record.get("system"):
        turns.insert(0, Turn("system", _string(record, "system", where)))
    return _conversation(turns, where)


SHAPES: Sequence[tuple[set[str], Callable[[Record, str], Document]]] = (
    ({"messages"}, _messages),
    ({"conversations"}, _conversations),
    ({"instruction", "output"}, _instruction),
    ({"prompt", "response"}, _pair),
    ({"question", "answer"}, _question),
    ({"text"}, _text),
)
"""Which fields make a record of which shape. What is not a text alone wins over a text: some sets have both."""


def is_record(value: object) -> bool:
    """Whether an object has the fields of a shape."""
    return isinstance(value, Mapping) and any(needed <= value.keys() for needed, _ in SHAPES)


def document(record: Record, where: str) -> Document:
    """The document of a record; UserError says where it stands and what is wrong with it."""
    found = [(needed, read) for needed, read in SHAPES if needed <= record.keys()]
    named = [needed for needed, _ in found]
    if not found or ({"text"} in named and {"prompt", "response"} in named):
        held = ", ".join(map(repr, record)) or "no field"
        raise UserError(f"{where}: a record needs {FIELDS}; this one has {held}")
    return found[0][1](record, where)


def _conversation(turns: Sequence[Turn], where: str) -> Document:
    """UserError for roles out of order, and where nothing is learned."""
    before = ""
    for number, turn in enumerate(turns, start=1):
        here = f"{where}, message {number}"
        if turn.role == "system" and number > 1:
            raise UserError(f"{here}: a system message comes first or not at all")
        if turn.role == ANSWERS and before in ("", "system"):
            raise UserError(f"{here}: an answer to nothing; a conversation begins with the role 'user'")
        if turn.role == before and turn.role != "tool":
            raise UserError(f"{here}: the role {turn.role!r} twice in a row; questions and answers take turns")
        if turn.role == "tool" and before not in (ANSWERS, "tool"):
            raise UserError(f"{here}: what a tool says follows an answer that called it")
        before = turn.role
    if before != ANSWERS:
        raise UserError(f"{where}: the last message is of the role {before!r}, and nothing answers it; remove it")
    try:
        return Document.conversation(tuple(turns))
    except UserError as error:
        raise UserError(f"{where}: {error}") from error


def _listed(record: Record, field: str, where: str) -> list[tuple[Record, str]]:
    value = record[field]
    if not isinstance(value, list) or not value or not all(isinstance(each, Mapping) for each in value):
        raise UserError(f'{where}: "{field}" is a list of messages, each an object, and not empty')
    return [(each, f"{where}, message {number}") for number, each in enumerate(value, start=1)]


def _role(message: Record, field: str, where: str, names: Mapping[str, str] | None = None) -> str:
    names = names or {role: role for role in ROLES}
    said = message.get(field)
    if not isinstance(said, str) or said not in names:
        near = did_you_mean(said, names) if isinstance(said, str) else ""
        raise UserError(f'{where}: "{field}" is one of {", ".join(names)}, not {said!r}{near}')
    return names[said]


def _content(message: Record, where: str) -> str:
    """A string, or a list of parts that are texts."""
    said = message.get("content")
    if isinstance(said, list):
        if not all(isinstance(part, Mapping) and part.get("type") == "text" for part in said):
            raise UserError(f'{where}: "content" holds parts that are no text, which is all that is learned here')
        message = {**message, "content": "".join(_string(part, "text", where) for part in said)}
    elif "content" not in message:
        raise UserError(f'{where}: there is no "content"')
    return _string(message, "content", where)


def _weight(message: Record, where: str) -> float:
    said = message.get("weight", 1)
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said < math.inf:
        raise UserError(f'{where}: "weight" is a number of 0 or more, not {said!r}')
    return float(said)


def _string(record: Record, field: str, where: str, *, may_be_empty: bool = False) -> str:
    value = record.get(field)
    if not isinstance(value, str):
        raise UserError(f'{where}: "{field}" is {type(value).__name__}, not a string')
    if not value and not may_be_empty:
        raise UserError(f'{where}: "{field}" is empty; remove the record')
    surrogate = re.search("[\ud800-\udfff]", value)
    if surrogate:
        raise UserError(
            f'{where}: "{field}" holds the lone surrogate U+{ord(surrogate[0]):04X}, which is not valid Unicode'
        )
    return value
