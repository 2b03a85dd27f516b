"""The hole syntax: examples from the documentation, and the inverse pair parse/render."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from undiffuse.errors import UserError
from undiffuse.text.holes import Hole, Text, parse, render


@pytest.mark.parametrize(
    ("source", "segments"),
    [
        ("[MASK]", [Hole(1, 1, "[MASK]")]),
        ("The [MASK] of", [Text("The "), Hole(1, 1, "[MASK]"), Text(" of")]),
        ("[MASK:5][MASK:2-6]", [Hole(5, 5, "[MASK:5]"), Hole(2, 6, "[MASK:2-6]")]),
        ("a ____ b", [Text("a "), Hole(1, 8, "____"), Text(" b")]),
        ("a _______", [Text("a "), Hole(1, 8, "_______")]),
        ("a ___ [MASK]", [Text("a ___ "), Hole(1, 1, "[MASK]")]),
        (r"\[MASK] [MASK]", [Text("[MASK] "), Hole(1, 1, "[MASK]")]),
        (r"\____ ____", [Text("____ "), Hole(1, 8, "____")]),
        (r"\[MASK:x] ____", [Text("[MASK:x] "), Hole(1, 8, "____")]),
        (r"a\\[MASK]", [Text("a\\"), Hole(1, 1, "[MASK]")]),
        (r"a\\\[MASK] ____", [Text(r"a\[MASK] "), Hole(1, 8, "____")]),
        (r"\n \d [mask] [MASKED] [MASK]", [Text(r"\n \d [mask] [MASKED] "), Hole(1, 1, "[MASK]")]),
    ],
)
def test_documented_forms(source, segments):
    assert list(parse(source)) == segments
    assert render(segments) == source


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "no hole to fill; write one as"),
        ("plain ___ text", "no hole to fill"),
        (r"\[MASK]", "no hole to fill"),
        ("ab [MASK:0]", r"'\[MASK:0\]' at column 4 holds no token; use at least \[MASK:1\]"),
        ("[MASK:6-2]", r"at column 1 ends below its start; write \[MASK:2-6\]"),
        ("[MASK:x]", r"'\[MASK:x\]' at column 1 is not a hole; write \[MASK\], "),
        ("[MASK:]", "is not a hole"),
        ("[MASK:1-]", "is not a hole"),
        ("[MASK:-3]", "is not a hole"),
        ("[MASK:٣]", "is not a hole"),
        ("[MASK] one\ntwo [MASK:3 more", "at line 2, column 5 is not closed"),
    ],
)
def test_mistakes_say_what_and_where(source, message):
    with pytest.raises(UserError, match=message):
        parse(source)


def test_runs_of_backslashes_are_read_in_one_go():
    """From every one of them to the end would be 2·10¹⁰ characters."""
    assert parse("\\" * 200_000 + "a[MASK]")[0] == Text("\\" * 200_000 + "a")


MASKS = ["[MASK]", "[MASK:2]", "[MASK:2-3]", "____", "_____", "[MASK", "[MASK:"]
TYPED = ["{a:yesno}", "{b:int(1-2)}", "{c:/a}/}", "{d:choice(x|\\))}", "/}"]
PIECES = st.sampled_from([*MASKS, *TYPED, *"\\]_ a\n{}"])


@given(st.lists(PIECES, max_size=12).map("".join))
def test_what_parses_renders_back(source):
    try:
        segments = parse(source)
    except UserError:
        assume(False)
    assert render(segments) == source
    assert all(segment.text for segment in segments if isinstance(segment, Text))
