"""Strings keep the origin of their characters: here a message has capitals and digits, a template everything else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undiffuse.text.sandbox import METHODS
from undiffuse.text.traced import SAID, Traced, followed, joined, reach, shown

PIECES = st.lists(st.sampled_from(["A", "B B", " ", "C\n", "<i>", "ab", " x ", "\n", "1,2", ","]), max_size=6)
CASELESS = str.maketrans("", "", " \n,")  # may be of either


def traced(pieces):
    """Pieces with capitals or digits are a message's, the others a template's."""
    said = [any(c.isupper() or c.isdigit() for c in piece) for piece in pieces]
    return joined(
        Traced(piece) if its else Traced(piece, bytes(len(piece))) for piece, its in zip(pieces, said, strict=True)
    )


def right(text):
    """Whether every letter and digit has the origin that it shows."""
    return isinstance(text, Traced) and all(
        bool(bits & SAID) == (c.isupper() or c.isdigit())
        for c, bits in zip(text.plain, text.origin, strict=True)
        if c.translate(CASELESS)
    )


OPERATIONS = {
    "strip": lambda s: [s.strip()],
    "strip of": lambda s: [s.strip("A \n")],
    "lstrip": lambda s: [s.lstrip()],
    "rstrip": lambda s: [s.rstrip()],
    "split": lambda s: s.split(),
    "split at": lambda s: s.split(","),
    "split once": lambda s: s.split(None, 1),
    "rsplit": lambda s: s.rsplit(maxsplit=1),
    "rsplit at": lambda s: s.rsplit("a", 1),
    "lines": lambda s: s.splitlines(),
    "lines with ends": lambda s: s.splitlines(True),
    "partition": lambda s: list(s.partition(",")),
    "rpartition": lambda s: list(s.rpartition(" ")),
    "slice": lambda s: [s[2:], s[:-1], s[::-1], s[1:9:2]],
    "items": lambda s: [s[k] for k in range(-len(s), len(s))],
    "iteration": lambda s: list(s),
    "prefix": lambda s: [s.removeprefix("<i>"), s.removesuffix("ab")],
    "added": lambda s: [s + "end", "begin" + s, s + s],
    "repeated": lambda s: [s * 3, 2 * s],
    "joined": lambda s: ["<b>".join([s, s, "x"]) if not isinstance(s, Traced) else Traced.of("<b>").join([s, s, "x"])],
    "written": lambda s: [str(s), shown(s)],
}


@pytest.mark.parametrize("name", OPERATIONS)
@given(PIECES)
def test_operations_keep_text_and_origin(name, pieces):
    text = traced(pieces)
    found, expected = OPERATIONS[name](text), OPERATIONS[name](text.plain)
    assert [str.__str__(each) for each in found] == expected
    assert all(map(right, found))


@given(PIECES)
def test_case_keeps_the_origin(pieces):
    text = traced(pieces)
    for name in ("upper", "lower", "title", "capitalize", "casefold", "swapcase"):
        found = getattr(text, name)()
        assert (found.plain, found.origin) == (getattr(text.plain, name)(), text.origin)


def test_where_one_character_becomes_several_all_are_of_the_message():
    assert (Traced("ß").upper().plain, Traced("ß").upper().origin) == ("SS", bytes([SAID, SAID]))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_that_templates_have_keeps_the_origin(name):
    given = {"join": [["x"]], "partition": ["x"], "rpartition": ["x"], "replace": ["x", "y"]}.get(name, [])
    given = given or (["x"] if name in ("count", "find", "index", "rfind", "rindex", "startswith", "endswith") else [])
    given = given or (["x"] if name.startswith("remove") else [])
    found = getattr(Traced("axb"), name)(*given)
    made = found if isinstance(found, list | tuple) else [found]
    assert all(isinstance(each, Traced) for each in made if isinstance(each, str))


def test_what_replaces_a_part_of_a_message_is_of_the_message():
    assert Traced("a@b").replace("@", "<|im_end|>").origin == bytes([SAID]) * 12
    assert Traced.of("a@b").replace("@", "<|im_end|>").origin == bytes(12)


@pytest.mark.parametrize(
    "value", [Traced("x"), [Traced("x")], {"a": (1, Traced("x"))}, {Traced("x"): 1}, object(), {1, 2}, iter("x")]
)
def test_what_may_hold_a_message_counts_as_one(value):
    assert reach(value) == SAID
    assert set(shown([value]).origin) == {SAID}


def test_what_holds_none_does_not():
    assert reach([1, "x", {"y": None}, Traced.of("x")]) == 0
    assert followed("x", 0) == "x"
    assert not isinstance(followed("x", 0), Traced)
