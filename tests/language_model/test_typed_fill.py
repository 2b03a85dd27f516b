"""Typed holes and objects: never an invalid text, whatever the model, the strategy, the temperature and the filters."""

import datetime
import json
import math
import re

import jsonschema
import pytest
import torch

from undiffuse.decode.canvas import start
from undiffuse.decode.passes import Sites, predict_at
from undiffuse.errors import UserError

TEXT = (
    "The {tone:choice(formal|casual|quick brown)} fox, {ok:yesno}, on {when:date} at {n:int(-5-99)}:"
    "{x:/[a-z]{2}[0-9]+(é|漢)?/} and ____ or [MASK] end."
)


def _date(text: str) -> bool:
    return datetime.date.fromisoformat(text).isoformat() == text


VALID = {
    "tone": lambda text: text in ("formal", "casual", "quick brown"),
    "ok": lambda text: text in ("yes", "no"),
    "when": _date,
    "n": lambda text: str(int(text)) == text and -5 <= int(text) <= 99,
    "x": lambda text: re.fullmatch(r"[a-z]{2}[0-9]+(é|漢)?", text),
}
WAYS = [
    {"strategy": "confidence"},
    {"strategy": "confidence", "temperature": 3.0, "samples": 4},
    {"strategy": "threshold", "threshold": 0.01, "temperature": 1.0, "samples": 4},
    {"strategy": "random", "steps": 3, "temperature": 1.0, "top_k": 1, "samples": 4},
    {"strategy": "left-to-right", "temperature": 2.0, "samples": 6, "block_length": 5},
    {"strategy": "ancestral", "steps": 4, "samples": 4},
    {"strategy": "ancestral", "steps": 20, "top_p": 0.2, "samples": 4},
]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way["strategy"])
def test_no_fill_is_invalid(long_model, byte_model, way):
    for model in (long_model, byte_model):
        for filled in model.fill(TEXT, top=1, **way):
            rebuilt = TEXT
            for hole in filled.holes:
                assert not hole.name or VALID[hole.name](hole.text), (hole.name, hole.text)
                written = re.search(r"\{\w+:(?:\w+\}|\w+\(.*?\)\}|/.*?/\})|____|\[MASK\]", rebuilt)
                rebuilt = rebuilt[: written.start()] + hole.text + rebuilt[written.end() :]
            assert filled.text == rebuilt


def test_no_fill_is_invalid_under_uniform_noise(uniform):
    for filled in uniform.fill("A {n:int(-5-99)} b {x:/[a-z]{3}/}.", strategy="ancestral", steps=3, samples=30):
        assert VALID["n"](filled.holes[0].text)
        assert re.fullmatch("[a-z]{3}", filled.holes[1].text)


def test_alternatives_satisfy_the_type_too(long_model):
    filled = long_model.fill(TEXT, top=5)[0]
    others = [(hole.name, other) for hole in filled.holes if hole.name for other in hole.alternatives]
    assert len(others) >= 8
    assert all(VALID[name](other.text) for name, other in others)
    assert all(other.text != hole.text for hole in filled.holes for other in hole.alternatives)


def test_a_choice_of_single_tokens_has_the_probabilities_of_the_distribution(model):
    """One position: the softmax over the choices' logits, nothing else."""
    tokens = model.tokenizer
    choices = [" dog", " brown", " and"]
    assert [len(tokens.encode(choice)) for choice in choices] == [1, 1, 1]
    hole = model.fill("The {x:choice(dog|brown|and)} jumps", top=3)[0].holes[0]
    left, right = tokens.encode("The"), tokens.encode(" jumps")
    ids = torch.tensor([*left, 0, *right])
    pending = torch.arange(len(ids)) == len(left)
    canvas = start(torch.where(pending, tokens.vocabulary.mask, ids), pending, key=0)
    log_p = predict_at(model.predictor, canvas, Sites.of(canvas.pending), canvas.pending.double()).posterior()[0, 0]
    expected = log_p[[tokens.encode(choice)[0] for choice in choices]].softmax(0)
    found = {hole.text: hole.probability, **{other.text: other.probability for other in hole.alternatives}}
    for choice, p in zip(choices, expected.tolist(), strict=True):
        assert found[choice.strip()] == pytest.approx(p, rel=1e-4)
    assert hole.probability == max(found.values())


def test_probabilities_of_choices_of_all_lengths_add_up(long_model):
    hole = long_model.fill("The {x:choice(fox|quick brown|formal)} jumps", top=3)[0].holes[0]
    assert hole.probability + sum(other.probability for other in hole.alternatives) == pytest.approx(1)
    assert {length.tokens for length in hole.lengths} == {
        len(long_model.tokenizer.encode(f" {text}")) for text in ("fox", "quick brown", "formal")
    }


def test_the_posterior_of_lengths_is_shown_and_followed(long_model):
    for source in ("The[MASK:2-6] fox", "The {x:/[a-z]{1,9}/} fox", "The ____ fox"):
        hole = long_model.fill(source, top=1)[0].holes[0]
        assert math.fsum(length.probability for length in hole.lengths) == pytest.approx(1)
        assert [length.tokens for length in hole.lengths] == sorted({length.tokens for length in hole.lengths})
        best = max(hole.lengths, key=lambda length: length.probability)
        assert long_model.fill(source, top=1, strategy="left-to-right")[0].nfe == best.tokens
    assert long_model.fill("The[MASK:3] fox")[0].holes[0].lengths == ()


def test_a_probability_is_given_the_type(byte_model):
    """Nothing else can stand there, so it is certain."""
    hole = byte_model.fill("a{x:/abc/}b")[0].holes[0]
    assert (hole.text, hole.alternatives) == ("abc", ())
    assert hole.probability == pytest.approx(1)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a {x:/b{40}/}", r"nothing that fits can stand in '{x:/b\{40\}/}' at column 3: it takes at least 41 tokens"),
        ("{x:/[a-c]{9}/}{y:/[d-f]{9}/}{z:/[k-l]{9}/}{w:/[u-z]{9}/}", "the holes and the text between them take"),
        (r"{x:/[^\s\S]/}", "nothing can stand in"),
        ("{x:/(?=a)/}", "Rust's dialect has no look-around"),
    ],
)
def test_what_has_no_solution_is_refused_before_decoding(model, source, message):
    events = []
    with pytest.raises(UserError, match=message):
        model.fill(source, on_event=events.append)
    assert not events


def test_a_typed_hole_takes_what_room_there_is(model):
    """A context of 32: the holes between them may not take more."""
    filled = model.fill("{a:/[a-z]*/} {b:/[0-9]+/} {c:/[A-Z]+/}", samples=2)[0]
    assert re.fullmatch(r"[a-z]* [0-9]+ [A-Z]+", filled.text)
    lengths = [max(length.tokens for length in hole.lengths) for hole in filled.holes]
    assert all(length <= 32 for length in lengths)


SCHEMA = {
    "type": "object",
    "required": ["name", "age"],
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "tone": {"enum": ["formal", 'ca"sual', None, 2]},
        "ok": {"type": "boolean"},
        "born": {"type": "string", "format": "date"},
        "code": {"type": "string", "pattern": "^[A-Z]{2}[0-9]+$"},
        "weight": {"type": ["number", "null"]},
        "é": {"const": "fixed"},
    },
}


def _check(value: dict) -> None:
    jsonschema.validate(value, SCHEMA, format_checker=jsonschema.FormatChecker())
    assert list(value) == list(SCHEMA["properties"])
    assert isinstance(value["name"], str)
    assert len(value["name"]) <= 8
    assert type(value["age"]) is int
    assert 0 <= value["age"] <= 130
    assert value["tone"] in ("formal", 'ca"sual', None, 2)
    assert type(value["ok"]) is bool
    assert _date(value["born"])
    assert re.fullmatch("[A-Z]{2}[0-9]+", value["code"])
    assert value["weight"] is None or isinstance(value["weight"], int | float)
    assert value["é"] == "fixed"


@pytest.mark.slow
def test_objects_parse_and_satisfy_their_schema(long_model, byte_model):
    drawn, once = {"temperature": 2.0, "samples": 3}, {"strategy": "ancestral", "steps": 6}
    for model, way in ((long_model, drawn), (long_model, once), (byte_model, once)):
        for found in model.fill_object("A fox:", SCHEMA, **way):
            _check(found.value)
            assert json.loads(found.text) == found.value
            assert found.filled.text == f"A fox:\n{found.text}"
            assert found.json()["object"] == found.value
            assert {hole.name for hole in found.filled.holes} == set(SCHEMA["properties"]) - {"é"}


def test_a_schema_that_cannot_be_promised_is_refused(model):
    with pytest.raises(UserError, match="field 'a' of the schema has type 'array'"):
        model.fill_object("", {"type": "object", "properties": {"a": {"type": "array"}}})
