"""Frames of the terminal view as a terminal without color shows them."""

import io

import pytest
import torch
from rich.console import Console

from undiffuse.cli.view import ASCII, UNICODE, Glyph, Status, frame, wrap
from undiffuse.cli.watch import Watch
from undiffuse.decode.event import Event

STATES = {
    "f": "fixed",
    "d": "decided",
    "c": "committed",
    "r": "revised",
    "p": "pending",
    "t": "taken back",
    "l": "pending in a later block",
    "x": "absent",
}


def event(*rows: tuple[list[bytes], str]) -> tuple[Event, list[bytes]]:
    """An event whose rows are pieces of bytes with one letter of STATES each, and the table of pieces."""
    table = [piece for pieces, _ in rows for piece in pieces]
    width = max(len(states) for _, states in rows)
    ids, letters = torch.zeros(len(rows), width, dtype=torch.long), []
    start = 0
    for row, (pieces, states) in enumerate(rows):
        ids[row, : len(pieces)] = torch.arange(start, start + len(pieces))
        start += len(pieces)
        letters.append(states.ljust(width, "x"))

    def where(names: str) -> torch.Tensor:
        return torch.tensor([[letter in names for letter in row] for row in letters])

    return Event(
        step=7,
        ids=ids,
        pending=where("ptl"),
        committed=where("c"),
        revised=where("rt"),
        editable=where("dcrptl"),
        valid=~where("x"),
        window=where("pt"),
        nfe=torch.arange(len(rows)) + 5,
        done=torch.zeros(len(rows), dtype=torch.bool),
        aborted=torch.zeros(len(rows), dtype=torch.bool),
    ), table


class Table:
    """A tokenizer that knows one thing: the bytes of a token."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.token_bytes = pieces.__getitem__


def drawn(pieces: list[bytes], states: str, width: int = 40, height: int | None = None, marks=UNICODE) -> list[str]:
    """The lines below the title."""
    made, table = event((pieces, states))
    console = Console(file=io.StringIO(), width=width, height=100, record=True)
    console.print(frame(made, table.__getitem__, width, height, marks))
    return console.export_text().splitlines()[1:]


def words(text: str) -> list[bytes]:
    return [word.encode() for word in text.split("|")]


def test_every_state_has_its_shape():
    shown = drawn(words("The| cat| sat| on| the| mat|."), "fdcrptl")
    assert shown == ["The cat‹ sat›~ on~░~░~·"]


def test_shapes_in_ascii():
    assert drawn(words("a\n|b|c|d|e"), "ccrpl", marks=ASCII) == ["<a\\n", "b>~c~_."]


def test_every_state_has_its_own_style():
    made, table = event((words("a|b|c|d|e|f"), "fdcrpl"))
    console = Console(file=io.StringIO(), width=40, force_terminal=True, color_system="truecolor", record=True)
    console.print(frame(made, table.__getitem__, 40))
    styles = [
        segment.style
        for segment in console._record_buffer
        if segment.text.strip("‹›~") in ("a", "b", "c", "d", "░", "·")
    ]
    assert len(styles) == 6
    assert len({str(style) for style in styles}) == 6


def test_the_space_before_a_word_that_was_decided_earlier_reads_as_a_space():
    """It is there, and no underline makes a rule of it; a space that is a token by itself is seen."""
    made, table = event((words("The| or| passed| of|  |x"), "fddfdf"))
    console = Console(file=io.StringIO(), width=40, force_terminal=True, color_system="truecolor", record=True)
    console.print(frame(made, table.__getitem__, 40))
    drawn = [(part.text, bool(part.style and part.style.underline)) for part in console._record_buffer]
    assert [part for part in drawn if part[0].strip("\n")][1:] == [
        ("The ", False),
        ("or passed", True),
        (" of", False),
        ("  ", True),
        ("x", False),
    ]


def test_absent_positions_are_not_drawn():
    assert drawn(words("a|b"), "fx") == ["a"]


def test_a_character_cut_into_tokens_is_whole_once_all_its_tokens_are_there():
    first, second = "é".encode()[:1], "é".encode()[1:]
    assert drawn([b"caf", first, second, b"!"], "ffff") == ["café!"]
    assert drawn([b"caf", first, second, b"!"], "fdcf") == ["caf‹é›!"], "the newer of its tokens counts"
    assert drawn([b"caf", first, second, b"!"], "fdpf") == ["caf�░!"]


def test_bytes_that_are_no_text_do_not_swallow_what_follows():
    assert drawn([b"\xe2\x82", b"ok"], "ff") == ["�ok"]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"\x1b[2J", "␛[2J"),
        (b"\x9b", "�"),
        ("\u009b2J".encode(), "\\x9b2J"),
        (b"\x00\x07\x7f", "␀␇␡"),
        ("a\u202eb".encode(), "a\\u202eb"),
        (b"a\tb\rc", "a⇥b␍c"),
    ],
)
def test_nothing_reaches_the_terminal_raw(raw, shown):
    assert drawn([raw], "c") == [f"‹{shown}›"]


def test_rich_markup_in_text_is_text():
    assert drawn([b"[red]x[/red]"], "f") == ["[red]x[/red]"]


def test_wide_characters_fill_two_cells():
    lines = drawn(["日本語のテキスト".encode()], "f", width=7)
    assert lines == ["日本語", "のテキ", "スト"]


def test_combining_marks_and_joined_emoji_are_not_torn():
    family = "👩\u200d👧"
    assert drawn([("e\u0301" * 4 + family).encode()], "f", width=3) == ["e\u0301" * 3, "e\u0301" + family]


def test_lines_break_after_a_space_and_at_line_breaks():
    assert drawn(words("one two three\n|four"), "ff", width=10) == ["one two ", "three↵", "four"]


def test_no_glyph_is_lost_by_wrapping():
    glyphs = [Glyph(character, Status.FIXED) for character in "a bc  def\tghijklmnop q 語 " * 5]
    for width in range(2, 30):
        lines = wrap(glyphs, width)
        assert [glyph for line in lines for glyph in line] == glyphs
        assert max(sum(glyph.width for glyph in line) for line in lines) <= width


@pytest.mark.parametrize("place", [0, 1, 30, 58, 59])
def test_a_tall_canvas_follows_the_action(place):
    pieces = [f"line {n:02}\n".encode() for n in range(60)]
    states = "".join("c" if n == place else "f" for n in range(60))
    lines = drawn(pieces, states, height=12)
    assert len(lines) <= 11
    assert any("‹" in line for line in lines)
    hidden = [int(line.split()[1]) for line in lines if line.startswith("…")]
    assert sum(hidden) + sum("line " in line for line in lines) == 60


def test_many_samples_share_the_height_and_the_rest_is_counted():
    made, table = event(*[(words(f"sample {n}| of| many"), "fcp") for n in range(9)])
    console = Console(file=io.StringIO(), width=40, height=100, record=True)
    console.print(frame(made, table.__getitem__, 40, height=12))
    lines = console.export_text().splitlines()
    assert len(lines) <= 12
    assert [line for line in lines if "step" in line][1] == "sample 2 of 9 · step 7 · 1 of 2 tokens ·"
    assert lines[-1] == "… 5 more samples"


def test_without_a_terminal_the_last_frame_is_printed_once():
    first, table = event((words("a|b"), "pp"))
    last, _ = event((words("a|b"), "dc"))
    out = io.StringIO()
    with Watch(Table(table), Console(file=out, width=60)) as watch:
        watch(first)
        assert out.getvalue() == ""
        watch(last)
    assert out.getvalue() == "step 7 · 2 of 2 tokens · 5 evaluations\na‹b›\n"


def test_on_a_terminal_every_event_is_drawn_and_the_drawing_disappears(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    first, table = event((words("a|b"), "pc"))
    last, _ = event((words("a|b"), "cd"))
    out = io.StringIO()
    with Watch(
        Table(table), Console(file=out, width=60, height=20, force_terminal=True, color_system=None), 0
    ) as watch:
        watch(first)
        watch(last)
    assert "░‹b›" in out.getvalue()
    assert "‹a›b" in out.getvalue()
    assert out.getvalue().endswith("\x1b[1A\x1b[2K"), "the cursor goes up and erases"


def test_a_stream_without_unicode_gets_ascii():
    made, table = event((words("a|b"), "cp"))
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace")
    with Watch(Table(table), Console(file=out, width=60)) as watch:
        watch(made)
    out.flush()
    assert raw.getvalue() == b"step 7 | 1 of 2 tokens | 5 evaluations\n<a>_\n"
