"""Schemas as fixed text and holes: what is read, and what is refused by name."""

import json
import re

import pytest

from undiffuse.errors import UserError
from undiffuse.text.form import form_of
from undiffuse.text.holes import Hole, Text
from undiffuse.text.schema import object_segments
from undiffuse.text.tokenizer import Tokenizer


def _segments(field):
    return object_segments({"type": "object", "properties": {"a": field, "b": {"type": "boolean"}}})


def _pattern(field):
    """The whole value as a Python expression; the dialects agree on these."""
    pieces = _segments(field)
    before, hole, after = pieces[0].text, pieces[1], pieces[2].text
    quote = before.removeprefix('{"a": ')
    body = "|".join(map(re.escape, hole.type.choices)) if hole.type.choices else hole.type.pattern
    return re.compile(quote + f"(?:{body})" + after.removesuffix(', "b": '))


@pytest.mark.parametrize(
    ("field", "inside", "outside"),
    [
        ({"type": "string", "maxLength": 2}, ['""', '"ab"', r'"\"\\"', '"é漢"'], ['"abc"', "ab", '"""', '"\n"']),
        ({"type": "string", "minLength": 1, "maxLength": 2}, ['"a"'], ['""']),
        ({"type": "string", "pattern": "^[A-Z]+$"}, ['"AB"'], ['""', '"Ab"']),
        ({"type": "string", "pattern": "b"}, ['"abc"', '"b"'], ['"ac"']),
        ({"type": ["string", "null"], "pattern": "^a$"}, ['"a"', "null"], ['"b"', "a"]),
        ({"type": "string", "pattern": "^a|b$"}, ['"ac"', '"cb"'], ['"ca"', '"bc"']),
        ({"type": "string", "pattern": "(^a$)|^b"}, ['"a"', '"bc"'], ['"ac"', '"cb"']),
        ({"type": "string", "pattern": r"^[\x00\n]$"}, [r'"\n"'], ['"\n"', '"n"']),
        ({"type": "string", "pattern": r"^\x01$"}, [r'"\u0001"'], ['"\x01"']),
        ({"type": "string", "pattern": r'^["\\]+$'}, [r'"\"\\"'], ['"""', '"a"']),
        ({"type": "string", "minLength": 2.0, "maxLength": 2.0}, ['"ab"'], ['"a"', '"abc"']),
        ({"type": "integer", "maximum": 10**400, "minimum": 10**15 - 1}, ["999999999999999"], ["0", "1" * 16]),
        ({"anyOf": [{"type": "integer", "minimum": 5, "maximum": 5}, {"type": "null"}]}, ["5", "null"], ["4"]),
        ({"anyOf": [{"enum": ["x"], "type": "string"}, {"type": "null"}], "default": None}, ['"x"', "null"], ["x"]),
        ({"type": "string", "format": "date"}, ['"2024-02-29"'], ['"2023-02-29"', "2024-02-29"]),
        ({"type": "integer", "minimum": -2, "exclusiveMaximum": 3}, ["-2", "0", "2"], ["3", "-3", "1.0", "02", "-0"]),
        ({"type": "integer"}, ["0", "-999999999999999"], ["1000000000000000", ""]),
        ({"type": "number"}, ["0", "-1.5", "10.25"], [".5", "1.", "01", "1e5"]),
        ({"type": "boolean"}, ["true", "false"], ["True", "null"]),
        ({"type": ["integer", "null"], "maximum": 5, "minimum": 5}, ["5", "null"], ["4", "nul"]),
        ({"enum": ["x", 3, None, 1.5]}, ['"x"', "3", "null", "1.5"], ["x", '"3"']),
    ],
)
def test_values_of_a_field(field, inside, outside):
    pattern = _pattern(field)
    for text in inside:
        assert pattern.fullmatch(text), text
        json.loads(text)
    assert not [text for text in outside if pattern.fullmatch(text)]


def test_what_has_one_value_is_fixed():
    segments = object_segments(
        {
            "$schema": "…",
            "type": "object",
            "required": ["é"],
            "additionalProperties": False,
            "properties": {
                "é": {"const": "a"},
                "b": {"type": "null", "title": "nothing"},
                "c": {"type": "boolean"},
                "d": {"enum": [4]},
            },
        }
    )
    assert [segment.text for segment in segments if isinstance(segment, Text)] == [
        '{"é": "a", "b": null, "c": ',
        ', "d": 4}',
    ]
    assert [segment.name for segment in segments if isinstance(segment, Hole)] == ["c"]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ([], "a schema must be an object of keys, not"),
        ({"type": "array"}, "must have type 'object', not 'array'"),
        ({"type": "object"}, "has no properties"),
        ({"type": "object", "properties": {"a": {"type": "null"}}, "allOf": []}, "the schema has 'allOf'"),
        ({"type": "object", "properties": {"a": {"type": "null"}}, "required": ["b"]}, "requires 'b'"),
        ({"type": "object", "properties": {"a": {"type": "null"}}}, "leaves nothing to fill"),
        (
            {"type": "object", "properties": {"a": {"type": "null"}}, "required": True},
            "has required True: write a list",
        ),
        ({"type": "object", "properties": {"a": {"type": "null"}}, "required": [{}]}, "requires {}, which is not"),
        ({"type": "object", "properties": {"a": {"type": "null"}}, "$defs": 3}, "has .defs 3: write an object"),
        ({"type": "object", "properties": {3: {"type": "boolean"}}}, "has a property 3: its name must be a string"),
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"$ref": "#/$defs/A"}}},
            "leads back to itself",
        ),
        ({"type": "object", "properties": {"a": 3}}, "field 'a' of the schema is not an object"),
    ],
)
def test_other_schemas_are_refused(schema, message):
    with pytest.raises(UserError, match=message):
        object_segments(schema)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"type": "object"}, "field 'a' of the schema has type 'object'; fields of one level"),
        ({}, "field 'a' of the schema has no type"),
        ({"type": "integer", "multipleOf": 2}, "field 'a' has 'multipleOf', which cannot be promised"),
        ({"type": "number", "minimum": 0}, "field 'a' has 'minimum'"),
        ({"type": "string", "format": "email"}, "has format 'email'; only 'date' is known"),
        ({"type": "string", "format": "date", "maxLength": 3}, "leave the length out"),
        ({"type": "string", "maxLength": "3"}, "has maxLength '3'"),
        ({"type": "string", "minLength": 3, "maxLength": 2}, "maxLength 2 below its minLength 3"),
        ({"type": "string", "minLength": 300}, "up to 256 characters"),
        ({"type": "string", "pattern": "a", "maxLength": 2}, "both pattern and maxLength"),
        ({"type": "string", "pattern": "(?=a)"}, "look-around and flags cannot be promised"),
        ({"type": "string", "pattern": r"(a)\1"}, r"its \\1 cannot be promised"),
        ({"type": "string", "pattern": r"\bb"}, r"its \\b cannot be promised"),
        ({"type": "string", "pattern": "(?:a{1000}){1000}"}, "more than 1000 characters; repeat less"),
        ({"type": "string", "pattern": "(?:^|$)" * 20}, "more than 1000 alternatives"),
        ({"type": "string", "pattern": "(" * 5000}, "nested deeper than 50 groups"),
        ({"type": "string", "pattern": "a^"}, "an anchor between characters"),
        ({"type": "string", "pattern": "[a"}, "ends too early"),
        ({"type": "string", "pattern": "a)"}, "closes nothing"),
        ({"type": "string", "pattern": "(a"}, "is missing"),
        ({"type": "string", "pattern": None}, "has pattern None: use a regular expression"),
        ({"type": None}, "has type None: use one of string"),
        ({"type": []}, r"has type \[\]: use one of"),
        ({"type": [{}]}, "has type {}; fields of one level"),
        ({"type": "string", "minLength": None}, "has minLength None: use a number of characters"),
        ({"type": "string", "maxLength": None}, "has maxLength None: use a number of characters"),
        ({"type": "string", "minLength": 3.5}, "has minLength 3.5"),
        ({"type": "integer", "minimum": 10**400}, "leaves no integer: none lies between 1000+…"),
        ({"type": "integer", "minimum": None}, "has minimum None: use a number"),
        ({"type": "integer", "maximum": float("inf")}, "has maximum inf: use a number"),
        ({"minItems": 1}, "field 'a' has 'minItems', which cannot be promised"),
        ({"oneOf": [{"type": "null"}]}, "field 'a' has 'oneOf', which cannot be promised"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "'anyOf' of other than one type and null"),
        ({"anyOf": None}, "'anyOf' of other than one type and null"),
        ({"$ref": "#/$defs/None"}, "has .ref '#/.defs/None', which is not among its .defs"),
        ({"$ref": 10**5000}, "has .ref an int that is too large to show"),
        ({"enum": [10**5000]}, "lists an int that is too large to show"),
        ({"enum": "ab"}, "an enum without values"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "none lies between 3 and 2"),
        ({"type": "integer", "minimum": True}, "has minimum True"),
        ({"enum": []}, "an enum without values"),
        ({"enum": [[1]]}, r"lists \[1\]"),
        ({"type": "string", "enum": [1]}, "lists 1, which is not of type string"),
        ({"enum": [1], "const": 1}, "both enum and const"),
    ],
)
def test_what_cannot_be_promised_is_refused_by_name(field, message):
    with pytest.raises(UserError, match=message):
        _segments(field)


def test_patterns_with_too_many_states_are_refused():
    with pytest.raises(UserError, match="'a' of the schema cannot be filled: it takes more than 4096 states"):
        form_of(_segments({"type": "string", "pattern": "b[a-z]{20}"}), Tokenizer.byte_level())


def test_alternatives_in_a_group_keep_their_anchors():
    assert _pattern({"type": "string", "pattern": "^(?:a|[|])$"}).fullmatch('"|"')
