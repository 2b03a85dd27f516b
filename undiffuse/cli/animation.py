"""A denoising as a picture that moves: events become one SVG without scripts.

Every state of a token has a frame and a color of its own, for light and dark grounds. Movement is that of style sheets,
and stops where a reader has asked for less of it (`prefers-reduced-motion`): there the end stands still.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from rich.cells import cell_len

from ..errors import UserError
from ..visible import safe

if TYPE_CHECKING:
    from ..decode.event import Event
    from ..text.codec import Codec

FONT, LINE, HIGH, EDGE, WIDTH = 14, 34, 26, 14, 640
CHARACTER = 0.6 * FONT
"""The width of a character in fonts whose characters are all as wide."""
HOLD = 2.5
"""Seconds for which the end stands."""
STYLE = f"""
text{{font:{FONT}px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#1b1b1b}}
.ground{{fill:#fff}}.box{{fill:none;stroke:none}}
.pending .box{{stroke:#6a6a6a;stroke-dasharray:3 3}}.decided .box{{fill:#cfe8f7;stroke:#5b87a3}}
.new .box{{fill:#cdeccb;stroke:#2f7d32}}.revised .box{{fill:#fbe3c0;stroke:#9a5b00}}
@media (prefers-color-scheme:dark){{text{{fill:#eee}}.ground{{fill:#16181d}}
.pending .box{{stroke:#a0a0a0}}.decided .box{{fill:#173f5a;stroke:#5f9dc4}}
.new .box{{fill:#1f4a22;stroke:#6cc070}}.revised .box{{fill:#553a10;stroke:#e0a850}}}}
@media (prefers-reduced-motion:reduce){{*{{animation:none!important}}}}"""


@dataclass
class Timeline:
    """Frames of equal length and a hold at the end; writes the style of what is visible in some of them.

    `still` is the frame that stands where nothing moves; with `back` time runs up and down in turns.
    """

    frames: int
    pace: float
    still: int = -1
    hold: float = HOLD
    back: bool = False
    rules: dict[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return self.frames / self.pace + self.hold

    def at(self, frame: int) -> str:
        return f"{100 * frame / self.pace / self.seconds:.2f}%"

    def moving(self, stops: str, easing: str = "step-end") -> str:
        """The attribute that runs through these keyframes for ever; equal ones share a rule."""
        name = self.rules.setdefault(stops, f"k{len(self.rules)}")
        return f"animation:{name} {self.seconds:.2f}s {easing} infinite{' alternate' if self.back else ''}"

    def visible(self, shown: Sequence[bool]) -> str:
        """The attribute of something that is there in these frames: as the still picture has it, and as it moves."""
        rest = f"opacity:{int(shown[self.still])}"
        if all(shown):
            return ""
        stops, frame = [], 0
        for on, run in groupby(shown):
            stops.append(f"{self.at(frame)}{{opacity:{int(on)}}}")
            frame += len(list(run))
        stops.append(f"100%{{opacity:{int(shown[-1])}}}")
        return f' style="{rest};{self.moving("".join(stops))}"'

    @property
    def style(self) -> str:
        return "".join(f"@keyframes {name}{{{stops}}}" for stops, name in self.rules.items())


@dataclass(frozen=True)
class Look:
    """What stands in one place at one moment; `state` is a class of the style."""

    text: str
    state: str


@dataclass(frozen=True)
class Place:
    """One position over all frames. A gap of some points stands before it, and a line may end after it."""

    looks: tuple[Look, ...]
    gap: float = 1.0
    ends_line: bool = False

    @property
    def width(self) -> float:
        return max(14.0, *(CHARACTER * cell_len(look.text) + 8 for look in self.looks))


def placed(places: Sequence[Place], width: float, top: float = EDGE, line: float = LINE) -> list[tuple[float, float]]:
    """Where places begin, in lines of `width`."""
    x, y, found = float(EDGE), top, []
    for place in places:
        if x > EDGE:
            x += place.gap
            if x + place.width > width - EDGE:
                x, y = float(EDGE), y + line
        found.append((x, y))
        x += place.width
        if place.ends_line:
            x, y = float(EDGE), y + line
    return found


def drawn(place: Place, x: float, y: float, time: Timeline) -> str:
    """All that stands in a place, each at its frames."""
    parts = []
    for look in dict.fromkeys(place.looks):
        style = time.visible([each == look for each in place.looks])
        box = f'<rect class="box" x="{x:g}" y="{y:g}" width="{place.width:g}" height="{HIGH}" rx="3"/>'
        middle = f'<text x="{x + place.width / 2:g}" y="{y + 18:g}" text-anchor="middle">{escape(look.text)}</text>'
        parts.append(f'<g class="{look.state}"{style}>{box}{middle if look.text else ""}</g>')
    return "".join(parts)


def sheet(title: str, text: str, width: float, height: float, body: str, style: str) -> str:
    """The whole file."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img"><title>{escape(title)}</title><desc>{escape(text)}</desc>'
        f'<style>{style}</style><rect class="ground" width="100%" height="100%" rx="8"/>{body}</svg>\n'
    )


def animation(events: Iterable["Event"], tokenizer: "Codec", *, pace: float = 2.0, width: int = WIDTH) -> str:
    """The SVG of a denoising, from the events of `model.stream` (or of an `on_event`); `pace` is steps a second.

        Path("run.svg").write_text(ud.animation(model.stream("The capital of ____ is Lima."), model.tokenizer))

    Of several texts the first is drawn. UserError without events, or for a pace that is not positive.
    """
    found = list(events)
    if not found:
        raise UserError("there is nothing to draw: no step was taken, since the text has no blank")
    if not pace > 0:
        raise UserError(f"the pace is in steps a second, and must be positive, not {pace}")
    last = found[-1]
    places = [
        _place(found, position, tokenizer)
        for position in range(last.ids.shape[1])
        if bool(last.valid[0, position])
        and (bool(last.editable[0, position]) or tokenizer.token_bytes(int(last.ids[0, position])))
    ]
    time = Timeline(len(found), pace)
    where = placed(places, width)
    body = "".join(drawn(place, x, y, time) for place, (x, y) in zip(places, where, strict=True))
    height = max((y for _, y in where), default=EDGE) + HIGH + EDGE
    text = b"".join(
        tokenizer.token_bytes(token) for token, valid in zip(last.ids[0], last.valid[0], strict=True) if valid
    )
    return sheet(
        "A text while it is denoised", safe(text.decode("utf-8", "replace")), width, height, body, STYLE + time.style
    )


def _place(events: Sequence["Event"], position: int, tokenizer: "Codec") -> Place:
    last = events[-1]
    piece = tokenizer.token_bytes(int(last.ids[0, position])).decode("utf-8", "replace")
    if not bool(last.editable[0, position]):
        look = Look(_named(piece), "fixed")
        return Place((look,) * len(events), _gap(piece), piece.endswith("\n"))
    looks = []
    for event in events:
        if bool(event.pending[0, position]):
            looks.append(Look("", "pending"))
            continue
        text = _named(tokenizer.token_bytes(int(event.ids[0, position])).decode("utf-8", "replace"))
        state = "revised" if event.revised[0, position] else "new" if event.committed[0, position] else "decided"
        looks.append(Look(text, state))
    return Place(tuple(looks), _gap(piece), piece.endswith("\n"))


def _named(piece: str) -> str:
    """A token as it is read in a frame."""
    inner = piece.strip(" ") or piece.replace(" ", "␣")
    return safe(inner.replace("\n", "↵").replace("\t", "⇥"))


def _gap(piece: str) -> float:
    return 5.0 if piece[:1].isspace() else 1.0
