"""Typed holes and schemas from the command line."""

import json

import pytest

from undiffuse.cli.main import run

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "minimum": 3, "maximum": 40}, "b": {"enum": [1, "x"]}},
}


def _run(capsys, *arguments: str) -> tuple[int, str, str]:
    code = run(list(arguments))
    return code, *capsys.readouterr()


def test_typed_holes_are_filled_and_named_with_their_lengths(capsys, work):
    code, out, err = _run(capsys, "fill", "ab {n:int(100-999)} cd {tone:choice(ab|cdefgh)} ef [MASK]")
    assert code == 0
    number, tone = out.split()[1], out.split()[3]
    assert 100 <= int(number) <= 999
    assert tone in ("ab", "cdefgh")
    rows = {line.split()[0]: line for line in err.splitlines() if line.strip()}
    assert number in rows["n"]
    assert tone in rows["tone"]
    assert "tokens" in rows["blank"]
    found = json.loads(_run(capsys, "fill", "ab [MASK:2-4] cd", "--json")[1])
    assert [length["tokens"] for length in found["holes"][0]["lengths"]] == [2, 3, 4]
    assert sum(length["probability"] for length in found["holes"][0]["lengths"]) == pytest.approx(1)


def test_an_object_goes_to_stdout(capsys, work, tmp_path):
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    schema = str(tmp_path / "schema.json")
    code, out, err = _run(capsys, "fill", "--schema", schema, "ab cd")
    assert code == 0
    value = json.loads(out)
    assert 3 <= value["a"] <= 40
    assert value["b"] in (1, "x")
    assert "probability" in err
    assert json.loads(_run(capsys, "fill", "--schema", schema, "--json")[1])["object"].keys() == {"a", "b"}
    lines = _run(capsys, "fill", "--schema", schema, "ab", "-n", "3")[1].splitlines()
    assert [json.loads(line).keys() for line in lines] == [{"a", "b"}] * 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as a JSON schema"),
        ('{"minimum": ' + "9" * 5000 + "}", "an integer of 5000 digits"),
        ("[" * 50_000, "nested too deeply"),
        ("[]", "a schema must be an object of keys, not"),
        ('{"type": "object", "properties": {"a": {"type": "array"}}}', "field 'a' of the schema has type 'array'"),
    ],
)
def test_what_is_no_schema_is_refused(capsys, work, tmp_path, content, message):
    (tmp_path / "schema.json").write_text(content)
    code, out, err = _run(capsys, "fill", "--schema", str(tmp_path / "schema.json"), "ab")
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())


def test_a_missing_schema_and_an_impossible_hole_are_refused(capsys, work):
    code, _, err = _run(capsys, "fill", "--schema", "nowhere.json", "ab")
    assert code == 2
    assert "nowhere.json cannot be read" in " ".join(err.split())
    code, _, err = _run(capsys, "fill", "a\nb {x:/c{200}/}")
    assert code == 2
    assert "at line 2, column 3: it takes at least" in " ".join(err.split())
