"""A JSON schema of flat typed fields as fixed text and holes: every fill parses, and satisfies the schema.

Braces, keys, commas and what can have one value alone are fixed; each other value is a typed hole. All properties are
written, in their order. What is read: type (string, integer, number, boolean, null, or several), enum and const of
such values, minLength and maxLength (or pattern) and format date of strings, minimum, maximum and their exclusive
forms of integers; `anyOf` of one such field and null, and `$ref` into `$defs`. Annotations mean nothing here; anything
else is refused by name, since it could not be promised.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import UserError
from .holes import Hole, Segment, Text
from .pattern import searched
from .typed import DATE, Type, between

ANNOTATIONS = {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}
ANNOTATIONS |= {"$schema", "$id", "$comment"}
OBJECT = {"type", "properties", "required", "additionalProperties", "$defs", "definitions"}
FIELDS: dict[str, set[str]] = {
    "string": {"minLength", "maxLength", "pattern", "format"},
    "integer": {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "number": set(),
    "boolean": set(),
    "null": set(),
}
SHOWN = 80
"""Characters of a value in a message."""
BITS = 14_000
"""Longer integers have more digits than Python writes."""
LARGEST = 10**15 - 1
"""Integers without a bound stay below 10¹⁵, which every JSON parser reads exactly."""
LONGEST = 256
"""Characters of strings that may have as many or more: what they hold satisfies the schema all the same."""
NUMBER = "-?(?:0|[1-9][0-9]{0,14})(?:\\.[0-9]{1,6})?"
CHARACTER = r'(?:[^"\\\x00-\x1f\x7f]|\\["\\/bfnrt])'


def object_segments(schema: Mapping[str, Any]) -> tuple[Segment, ...]:
    """The text of an object of this schema, with holes; UserError for a schema that says anything not listed above."""
    if not isinstance(schema, Mapping):
        raise UserError(
            f"a schema must be an object of keys, not {shown(schema)}: write {{'type': 'object', 'properties': {{…}}}}"
        )
    _refuse_unknown("the schema", schema, OBJECT)
    if schema.get("type") != "object":
        raise UserError(f"the schema must have type 'object', not {shown(schema.get('type'))}")
    properties = schema.get("properties")
    if not properties or not isinstance(properties, Mapping):
        raise UserError("the schema has no properties: {'properties': {'name': {'type': 'string'}, …}}")
    required = schema.get("required", ())
    if not isinstance(required, list | tuple):
        raise UserError(f"the schema has required {shown(required)}: write a list of names, such as ['name']")
    for name in required:
        if not isinstance(name, str) or name not in properties:
            raise UserError(f"the schema requires {shown(name)}, which is not among its properties")
    definitions: dict[str, Any] = {}
    for key in ("definitions", "$defs"):
        if not isinstance(schema.get(key, {}), Mapping):
            raise UserError(f"the schema has {key} {shown(schema[key])}: write an object of definitions")
        definitions |= schema.get(key, {})
    pieces: list[Segment] = []
    for number, (name, field) in enumerate(properties.items()):
        if not isinstance(name, str):
            raise UserError(f"the schema has a property {shown(name)}: its name must be a string")
        pieces.append(Text(("{" if number == 0 else ", ") + _written(name) + ": "))
        pieces += _value(name, field, definitions)
    segments = joined([*pieces, Text("}")])
    if not any(isinstance(segment, Hole) for segment in segments):
        raise UserError("the schema leaves nothing to fill: each of its properties has one value alone")
    return segments


def joined(pieces: Sequence[Segment]) -> tuple[Segment, ...]:
    """The same with neighboring texts made one, and empty ones left out."""
    found: list[Segment] = []
    for piece in pieces:
        if isinstance(piece, Text) and found and isinstance(found[-1], Text):
            found[-1] = Text(found[-1].text + piece.text)
        elif not isinstance(piece, Text) or piece.text:
            found.append(piece)
    return tuple(found)


def _value(name: str, field: Any, definitions: Mapping[str, Any]) -> list[Segment]:
    where = f"field {name!r}"
    field = _flat(where, field, definitions)
    kinds = _kinds(where, field)
    if "enum" in field or "const" in field:
        return _listed(name, field, kinds)
    _refuse_unknown(where, field, {"type"}.union(*(FIELDS[kind] for kind in kinds or FIELDS)))
    if not kinds:
        raise UserError(f"{where} of the schema has no type: use one of {', '.join(FIELDS)}")
    if kinds == ["null"]:
        return [Text("null")]
    if kinds == ["boolean"]:
        return [_hole(name, Type(choices=("true", "false")))]
    return [_hole(name, Type("|".join(f"(?:{_pattern(where, kind, field)})" for kind in kinds)))]


def _flat(where: str, field: Any, definitions: Mapping[str, Any], depth: int = 0) -> Mapping[str, Any]:
    """The field itself, with what `$ref` names put in its place, and null among the values where `anyOf` allows it."""
    if not isinstance(field, Mapping):
        raise UserError(f"{where} of the schema is not an object: write {{'type': 'string'}}")
    if depth > len(definitions) + 1:
        raise UserError(f"{where} of the schema has a $ref that leads back to itself")
    if "$ref" in field:
        _refuse_unknown(where, field, {"$ref"})
        start, _, key = (field["$ref"] if isinstance(field["$ref"], str) else "").rpartition("/")
        if start not in ("#/$defs", "#/definitions") or key not in definitions:
            raise UserError(f"{where} of the schema has $ref {shown(field['$ref'])}, which is not among its $defs")
        return _flat(where, definitions[key], definitions, depth + 1)
    if "anyOf" not in field:
        return field
    _refuse_unknown(where, field, {"anyOf"})
    members = field["anyOf"] if isinstance(field["anyOf"], list | tuple) else []
    null = [member for member in members if isinstance(member, Mapping) and member.get("type") == "null"]
    others = [member for member in members if member not in null]
    if len(others) != 1:
        raise UserError(f"{where} of the schema has 'anyOf' of other than one type and null: leave one type")
    found = dict(_flat(where, others[0], definitions, depth + 1))
    if null and "const" in found:
        found["enum"] = [found.pop("const")]
    if null and isinstance(found.get("enum"), list | tuple):
        found["enum"] = [*found["enum"], None]
    if null and "type" in found:
        found["type"] = list(dict.fromkeys([*_kinds(where, found), "null"]))
    return found


def _kinds(where: str, field: Mapping[str, Any]) -> list[str]:
    written = field.get("type", ())
    kinds = [written] if isinstance(written, str) else written
    if not isinstance(kinds, list | tuple) or ("type" in field and not kinds):
        raise UserError(f"{where} of the schema has type {shown(written)}: use one of {', '.join(FIELDS)}")
    for kind in kinds:
        if not isinstance(kind, str) or kind not in FIELDS:
            raise UserError(
                f"{where} of the schema has type {shown(kind)}; fields of one level can be filled: {', '.join(FIELDS)}"
            )
    return list(kinds)


def _listed(name: str, field: Mapping[str, Any], kinds: list[str]) -> list[Segment]:
    where = f"field {name!r}"
    _refuse_unknown(where, field, {"type", "enum", "const"})
    values = [field["const"]] if "const" in field else field["enum"]
    if "enum" in field and "const" in field:
        raise UserError(f"{where} of the schema has both enum and const: use const alone")
    if not isinstance(values, list | tuple) or not values:
        raise UserError(f"{where} of the schema has an enum without values")
    for value in values:
        if not isinstance(value, str | int | float | None) or (isinstance(value, float) and not math.isfinite(value)):
            raise UserError(f"{where} of the schema lists {shown(value)}: only strings, numbers, true, false and null")
        if isinstance(value, int) and value.bit_length() > BITS:
            raise UserError(f"{where} of the schema lists {shown(value)}: write a smaller number")
        if kinds and not any(_is(value, kind) for kind in kinds):
            raise UserError(f"{where} of the schema lists {shown(value)}, which is not of type {' or '.join(kinds)}")
    written = tuple(dict.fromkeys(_written(value) for value in values))
    return [Text(written[0])] if len(written) == 1 else [_hole(name, Type(choices=written))]


def _is(value: object, kind: str) -> bool:
    if kind in ("integer", "number"):
        whole = isinstance(value, int) or (isinstance(value, float) and (kind == "number" or value.is_integer()))
        return whole and not isinstance(value, bool)
    return {"string": isinstance(value, str), "boolean": isinstance(value, bool), "null": value is None}[kind]


def _pattern(where: str, kind: str, field: Mapping[str, Any]) -> str:
    if kind == "string":
        return _string(where, field)
    if kind == "integer":
        return _integer(where, field)
    return {"number": NUMBER, "boolean": "true|false", "null": "null"}[kind]


def _string(where: str, field: Mapping[str, Any]) -> str:
    least, most = (_count(where, key, field[key]) if key in field else None for key in ("minLength", "maxLength"))
    least = least or 0
    if "pattern" in field:
        for other in FIELDS["string"] - {"pattern"}:
            if other in field:
                raise UserError(f"{where} of the schema has both pattern and {other}: put one into the other")
        return f'"(?:{_searched(where, field["pattern"])})"'
    if "format" in field:
        if field["format"] != "date":
            raise UserError(f"{where} of the schema has format {shown(field['format'])}; only 'date' is known")
        if least or most is not None:
            raise UserError(f"{where} of the schema has a format and a length: leave the length out")
        return f'"(?:{DATE.pattern})"'
    if most is not None and most < least:
        raise UserError(
            f"{where} of the schema has maxLength {shown(most)} below its minLength {shown(least)}: no text has both"
        )
    if least > LONGEST:
        raise UserError(
            f"{where} of the schema has minLength {shown(least)}; strings of up to {LONGEST} characters are filled"
        )
    return f'"{CHARACTER}{{{least},{LONGEST if most is None else min(most, LONGEST)}}}"'


def _count(where: str, key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value % 1:
        raise UserError(f"{where} of the schema has {key} {shown(value)}: use a number of characters")
    return int(value)


def _integer(where: str, field: Mapping[str, Any]) -> str:
    for key in FIELDS["integer"] & field.keys():
        value = field[key]
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole and not (isinstance(value, float) and math.isfinite(value)):
            raise UserError(f"{where} of the schema has {key} {shown(value)}: use a number")
    low = max(
        math.ceil(field.get("minimum", -LARGEST)),
        math.floor(field.get("exclusiveMinimum", -LARGEST - 1)) + 1,
        -LARGEST,
    )
    high = min(
        math.floor(field.get("maximum", LARGEST)), math.ceil(field.get("exclusiveMaximum", LARGEST + 1)) - 1, LARGEST
    )
    if high < low:
        raise UserError(f"{where} of the schema leaves no integer: none lies between {shown(low)} and {shown(high)}")
    return between(low, high)


def _searched(where: str, pattern: object) -> str:
    if not isinstance(pattern, str) or not pattern:
        raise UserError(f"{where} of the schema has pattern {shown(pattern)}: use a regular expression")
    try:
        return searched(pattern)
    except ValueError as error:
        raise UserError(f"{where} of the schema has pattern {shown(pattern)}: {error}") from error


def shown(value: object) -> str:
    """A value as it is written, cut where it is long."""
    try:
        written = repr(value)
    except (ValueError, RecursionError):  # integers of thousands of digits, endless nesting
        written = f"an {type(value).__name__} that is too large to show"
    return written if len(written) <= SHOWN else written[:SHOWN] + "…"


def _written(value: object) -> str:
    """In JSON; what is not valid Unicode by its escape."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isascii() or text.encode(errors="ignore").decode() == text else json.dumps(value)


def _hole(name: str, kind: Type) -> Hole:
    return Hole(1, 1, name, name, kind, "of the schema")


def _refuse_unknown(where: str, found: Mapping[str, Any], known: set[str]) -> None:
    for key in found:
        if key not in known | ANNOTATIONS:
            raise UserError(f"{where} has {shown(key)}, which cannot be promised; what can: {', '.join(sorted(known))}")
