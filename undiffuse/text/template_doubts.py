"""What one should know about a chat template before trusting it: found by trying it, not by reading it."""

from collections.abc import Iterable, Sequence

from jinja2 import nodes

from ..errors import UserError
from .budget import Budget
from .codec import Codec
from .conversation import end_of_turn
from .sandbox import Sandbox
from .template import Template
from .traced import SAID, Traced

WORDS = {"system": "Instructions", "user": "Questions", "assistant": "Answers"}
"""Texts that no template has a use for."""
MOST = 200
"""Texts that are tried as a message."""


def template_doubts(template: Template | str, tokenizer: Codec | None = None) -> list[str]:
    """One sentence for each thing that is wrong or weak with a template; an empty list where nothing was found.

    It cannot be read, fails, leaves texts out, marks no end of an answer, or writes something else because of what a
    user wrote: text in a message that makes the template itself write control tokens is a way for a user to write them.
    """
    if isinstance(template, str):
        try:
            template = Template(template)
        except UserError as error:
            return [str(error)]
    try:
        plain = _rendered(template, ("user",))
    except UserError as error:
        return [str(error)]
    return [*_left_out(template, plain), *_no_end(template, tokenizer), *_moved(template, plain, tokenizer)]


def _rendered(template: Template, roles: Sequence[str], user: str = WORDS["user"]) -> Traced:
    texts = {**WORDS, "user": user}
    return template.render([{"role": role, "content": texts[role]} for role in roles], answer=True)


def _left_out(template: Template, plain: Traced) -> Iterable[str]:
    """Roles whose text does not arrive."""
    if WORDS["user"] not in plain.plain:
        yield f"{template.where} leaves out what the user says"
        return
    for role, roles in (("assistant", ("user", "assistant", "user")), ("system", ("system", "user"))):
        try:
            if WORDS[role] not in _rendered(template, roles).plain:
                yield f"{template.where} leaves out what the {role} says"
        except UserError as error:
            yield f"{template.where} takes no messages of the {role}: {error}"


def _no_end(template: Template, tokenizer: Codec | None) -> Iterable[str]:
    if tokenizer is not None and end_of_turn(template, tokenizer) is None:
        yield f"{template.where} writes no control token after an answer: only an end of text ends one"


def _moved(template: Template, plain: Traced, tokenizer: Codec | None) -> Iterable[str]:
    """What a user can write so that the template writes something else than for any other text."""
    own = _own(plain)
    for text in _probes(template, tokenizer):
        try:
            written = [_own(_rendered(template, ("user",), said)) for said in (text, f"Questions {text} and more")]
            if any(each != own for each in written):
                yield f"{template.where} lets a user change what it writes itself: by a message that holds {text!r}"
        except UserError as error:
            yield f"{template.where} fails where a message holds {text!r}: {error}"


def _own(text: Traced) -> str:
    """What the template itself wrote."""
    return "".join(character for character, bits in zip(text.plain, text.origin, strict=True) if not bits & SAID)


def _probes(template: Template, tokenizer: Codec | None) -> list[str]:
    """Texts that the template names, and the control tokens."""
    parsed = Sandbox(Budget()).parse(template.source)
    named = [node.value for node in parsed.find_all(nodes.Const) if isinstance(node.value, str)]
    controls = [] if tokenizer is None else list(tokenizer.controls)
    return list(dict.fromkeys(text for text in (*named, *controls) if text.strip()))[:MOST]
