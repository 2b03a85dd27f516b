"""Patterns of schemas against an independent validator, what Pydantic writes, and schemas at random."""

import json
import random
import re
from contextlib import suppress
from enum import Enum
from typing import Annotated, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from undiffuse.errors import UserError
from undiffuse.text.form import form_of
from undiffuse.text.holes import Hole, Text
from undiffuse.text.pattern import searched
from undiffuse.text.schema import object_segments
from undiffuse.text.tokenizer import Tokenizer

WRITTEN = [*'aZ09_-.\\/"\t\n\r\x0b\x0c\x00\x1f', *"é漢٣\u2028\u2029\u00a0\ufeff🙂"]


def _pattern(_, pattern, value, __):
    """ECMA's search by Python's, whose `.` and `$` know other line ends."""
    pattern = pattern.replace("$", r"\Z").replace(".", r"[^\n\r\u2028\u2029]")
    if not re.search(pattern, value, re.ASCII):
        yield jsonschema.ValidationError("no match")


Ecma = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": _pattern})
PATTERNS = [
    r"^\d$",
    r"^\D$",
    r"^\w$",
    r"^\W$",
    "^.$",
    "^[^a]$",
    r"^[\w-]$",
    r"^[^\d\n]{1,2}$",
    r"^\u00e9|\x2d$",
    "a.",
    "{",
]


@pytest.mark.parametrize("pattern", [*PATTERNS, "[+-9]", "^(?:a|é)*$", "^(a$|Z)", "0?$"])
def test_patterns_have_the_classes_of_ecma(pattern):
    """A fill satisfies the pattern, and what JSON writes without a long escape is filled if it does."""
    validator = Ecma({"type": "string", "pattern": pattern})
    reads = re.compile(searched(pattern))
    for text in ["", *WRITTEN, *(one + two for one in WRITTEN for two in WRITTEN)]:
        written = json.dumps(text, ensure_ascii=False)[1:-1]
        if reads.fullmatch(written):
            assert validator.is_valid(text), text
        elif "\\u00" not in written:
            assert not validator.is_valid(text), text


def test_spaces_are_those_of_ecma():
    reads = re.compile(searched(r"^\s$"))
    codes = [code for code in range(0x10000) if not 0xD800 <= code < 0xE000]
    found = {code for code in codes if reads.fullmatch(json.dumps(chr(code), ensure_ascii=False)[1:-1])}
    wide = {0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF}
    assert found == {9, 10, 12, 13, 32} | wide


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Order(BaseModel):
    """What a customer asked for."""

    code: Annotated[str, Field(pattern=r"^[A-Z]{2}\d$", description="its code")]
    color: Color = Color.RED
    other: Color | None = None
    size: Literal["s", "m"] | None = "s"
    count: Annotated[int, Field(ge=1, lt=10)] = 3
    note: Annotated[str, Field(max_length=2)] | None = None
    one: Literal["x"] = "x"


def test_flat_models_of_pydantic_are_read():
    segments = object_segments(Order.model_json_schema())
    holes = {segment.name: segment.type for segment in segments if isinstance(segment, Hole)}
    assert holes["color"].choices == ('"red"', '"blue"')
    assert holes["other"].choices == ('"red"', '"blue"', "null")
    assert holes["size"].choices == ('"s"', '"m"', "null")
    count = {text for text in map(str, range(-20, 20)) if re.fullmatch(holes["count"].pattern, text)}
    assert count == set("123456789")
    note = [text for text in ("null", '""', '"ab"', '"abc"', "ab") if re.fullmatch(holes["note"].pattern, text)]
    assert note == ["null", '""', '"ab"']
    assert segments[-1] == Text(', "one": "x"}')


KEYS = ["type", "enum", "const", "pattern", "minLength", "maxLength", "minimum", "exclusiveMaximum", "format", "anyOf"]
KEYS += ["$ref", "items", "title", "required", "properties", "$defs"]
VALUES = [None, True, 0, -1, 3.0, 2.5, 10**400, 10**5000, 1e308, float("nan"), float("inf"), "", "a", "\ud800", [], {}]
VALUES += ["string", "integer", "null", ["string", "null"], "#/$defs/a", {"type": "string"}, [{"type": "null"}], "date"]
SIGNS = [*"ab.^$|()[]{}*+?\\-,019d", "(?:", "[^", "{2}", r"\d"]


def _random(dice, depth=0):
    if depth > 2 or dice.random() < 0.4:
        return dice.choice([*VALUES, "".join(dice.choices(SIGNS, k=dice.randrange(12)))])
    return {dice.choice(KEYS): _random(dice, depth + 1) for _ in range(dice.randrange(4))}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_no_random_schema_ends_otherwise_than_in_an_error_of_the_user(seed):
    tokenizer = Tokenizer.byte_level()
    for number in range(100):
        dice = random.Random(100 * seed + number)
        pattern = {"pattern": "".join(dice.choices(SIGNS, k=dice.randrange(12)))}
        for field in (_random(dice), {"type": dice.choice(["string", ["null", "string"]]), **pattern}):
            schema = {"type": "object", "properties": {"a": field, "b": {"type": "boolean"}}}
            if dice.random() < 0.3:
                schema[dice.choice(KEYS)] = _random(dice)
            with suppress(UserError):
                form_of(object_segments(schema), tokenizer)
