"""A denoising as a picture: what stands in it at each frame is what the events say, and it is XML."""

import re
from xml.etree import ElementTree

import pytest
import torch

import undiffuse as ud
from undiffuse.cli.animation import Look, Place, Timeline, placed
from undiffuse.decode.event import Event

SVG = "{http://www.w3.org/2000/svg}"


class Letters:
    """A token for each letter."""

    def token_bytes(self, token: int) -> bytes:
        return [b"", b"a", b" b", b"<&", b"\n", b"\x1b"][token]


def events(*rows, committed=(), revised=(), fixed=()) -> list[Event]:
    """Steps of one text; 0 is pending."""
    found = []
    for step, ids in enumerate(rows):
        row = torch.tensor([ids])
        flags = {name: torch.zeros_like(row, dtype=torch.bool) for name in ("committed", "revised")}
        for name, places in (("committed", committed), ("revised", revised)):
            for when, place in places:
                if when == step:
                    flags[name][0, place] = True
        editable = torch.ones_like(row, dtype=torch.bool)
        editable[0, list(fixed)] = False
        yes, number = torch.ones_like(editable), torch.tensor([step])
        ended = torch.tensor([step == len(rows) - 1])
        found.append(
            Event(
                step,
                row,
                row == 0,
                **flags,
                editable=editable,
                valid=yes,
                window=yes,
                nfe=number,
                done=ended,
                aborted=~ended,
            )
        )
    return found


def groups(drawing: str) -> list[tuple[str, str, str]]:
    """Class, text and style of every look."""
    root = ElementTree.fromstring(drawing)
    return [
        (group.get("class", ""), "".join(group.itertext()), group.get("style", "")) for group in root.iter(f"{SVG}g")
    ]


def test_looks_follow_the_events():
    steps = events([1, 0, 0], [1, 2, 0], [1, 2, 3], [1, 1, 3], committed=[(1, 1), (2, 2)], revised=[(3, 1)], fixed=[0])
    drawing = ud.animation(steps, Letters())
    assert [(state, text) for state, text, _ in groups(drawing)] == [
        ("fixed", "a"),
        ("pending", ""),
        ("new", "b"),
        ("decided", "b"),
        ("revised", "a"),
        ("pending", ""),
        ("new", "<&"),
        ("decided", "<&"),
    ]


def test_the_last_frame_stands_where_nothing_moves():
    drawing = ud.animation(events([0, 0], [1, 0], [1, 2], committed=[(1, 0), (2, 1)]), Letters())
    still = [(state, text) for state, text, style in groups(drawing) if "opacity:1" in style or not style]
    assert still == [("decided", "a"), ("new", "b")]
    assert "prefers-reduced-motion:reduce" in drawing
    assert "prefers-color-scheme:dark" in drawing
    assert "<script" not in drawing


def test_a_frame_is_as_long_as_the_pace_says():
    time = Timeline(frames=4, pace=2.0, hold=2.0)
    style = time.visible([False, True, False, True])
    assert style == ' style="opacity:1;animation:k0 4.00s step-end infinite"'
    # frames begin at 0, 0.5, 1 and 1.5 of 4 seconds
    assert (
        time.style
        == "@keyframes k0{0.00%{opacity:0}12.50%{opacity:1}25.00%{opacity:0}37.50%{opacity:1}100%{opacity:1}}"
    )
    assert time.visible([True] * 4) == ""


def test_lines_break_where_the_width_ends_and_at_line_ends():
    place = Place((Look("abcdefgh", "fixed"),))
    assert [y for _, y in placed([place, place, place], 2 * place.width + 30)] == [14, 14, 48]
    assert [y for _, y in placed([Place(place.looks, ends_line=True), place], 640)] == [14, 48]


def test_controls_are_made_visible_and_the_file_is_xml():
    drawing = ud.animation(events([0, 0, 0], [5, 4, 3]), Letters())
    assert {text for _, text, _ in groups(drawing)} == {"", "␛", "↵", "<&"}
    assert not re.search(r"[\x00-\x08\x0b-\x1f]", drawing)


def test_nothing_to_draw_and_no_pace_are_refused():
    with pytest.raises(ud.UserError, match="nothing to draw"):
        ud.animation([], Letters())
    with pytest.raises(ud.UserError, match="must be positive, not 0"):
        ud.animation(events([0], [1]), Letters(), pace=0)
