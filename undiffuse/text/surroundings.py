"""The rows that a published tokenizer puts around every text: [CLS] before and [SEP] after it, of BERT and its kin."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Surroundings:
    """Rows before and after a text; they are no part of it."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        return len(self.before) + len(self.after)


NONE = Surroundings()


def surroundings_of(content: Mapping[str, Any]) -> Surroundings:
    """Those of a `tokenizer.json`, where they stand on both sides.

    What stands on one side alone is the start symbol of a causal model, or its end of text.
    """
    for step in _steps(content.get("post_processor")):
        if step.get("type") in ("BertProcessing", "RobertaProcessing"):
            before, after = (_row(step.get(name)) for name in ("cls", "sep"))
        elif step.get("type") == "TemplateProcessing":
            before, after = _sides(step)
        else:
            continue
        if before and after:
            return Surroundings(before, after)
    return NONE


def _steps(found: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(found, Mapping):
        return
    if isinstance(found.get("processors"), list):
        for step in found["processors"]:
            yield from _steps(step)
    yield found


def _row(pair: Any) -> tuple[int, ...]:
    """Of a token and its row."""
    known = isinstance(pair, list) and len(pair) == 2 and isinstance(pair[1], int)
    return (pair[1],) if known else ()


def _sides(template: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The special tokens before and after the text in the template of a single one."""
    single, special = template.get("single"), template.get("special_tokens")
    sides: tuple[list[int], list[int]] = ([], [])
    if not isinstance(single, list) or not isinstance(special, Mapping):
        return (), ()
    side = 0
    for piece in single:
        if isinstance(piece, Mapping) and "Sequence" in piece:
            side = 1
        elif isinstance(piece, Mapping) and isinstance(piece.get("SpecialToken"), Mapping):
            listed = special.get(piece["SpecialToken"].get("id"), {})
            sides[side].extend(row for row in listed.get("ids", []) if isinstance(row, int))
    return tuple(sides[0]), tuple(sides[1])
