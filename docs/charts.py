"""Draws the pictures of the guide: of what its pages print (parallel.svg), and of noise and runs of the bundled model.

python docs/charts.py

Lines are drawn here and not by matplotlib, so that they follow the reader's ground, light or dark, stay small, and are
the same file wherever they are drawn.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

import undiffuse as ud
from undiffuse.language_model import LanguageModel
from undiffuse.randomness import Draws

DOCS = Path(__file__).parent
IMAGES = DOCS / "images"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 500, 250, 46, 12, 34, 42
STYLE = """
text{font:13px system-ui,sans-serif;fill:#1b1b1b}.title{font-weight:600}.ground{fill:#fff}
.grid{stroke:#1b1b1b;stroke-opacity:.13}line.mark{stroke:#1b1b1b;stroke-dasharray:5 4}
path{fill:none;stroke-width:2}
.s0{stroke:#0072b2}.s1{stroke:#d55e00}.s2{stroke:#009e73}.s3{stroke:#b0548c}
.s4{stroke:#7a7a7a;stroke-dasharray:6 3}
circle.s0{fill:#0072b2}circle.s1{fill:#d55e00}circle.s2{fill:#009e73}circle.s3{fill:#b0548c}circle.s4{fill:#7a7a7a}
@media (prefers-color-scheme:dark){text{fill:#eee}.ground{fill:#16181d}.grid{stroke:#eee}line.mark{stroke:#eee}
.s0{stroke:#56b4e9}.s1{stroke:#f08a3c}.s2{stroke:#3fc79a}.s3{stroke:#de8cc0}.s4{stroke:#a8a8a8}
circle.s0{fill:#56b4e9}circle.s1{fill:#f08a3c}circle.s2{fill:#3fc79a}circle.s3{fill:#de8cc0}circle.s4{fill:#a8a8a8}}"""


@dataclass(frozen=True)
class Line:
    """A named line through points; `stepped` goes along and then up."""

    name: str
    points: Sequence[tuple[float, float]]
    stepped: bool = False


@dataclass(frozen=True)
class Chart:
    """Lines over axes whose marks are given, as (value, label); a dashed line may stand across at `mark`."""

    title: str
    across: str
    xs: Sequence[tuple[float, str]]
    ys: Sequence[tuple[float, str]]
    lines: Sequence[Line]
    mark: float | None = None

    def drawn(self, top: float, legend: bool) -> str:
        low, high = self.xs[0][0], self.xs[-1][0]
        floor, roof = self.ys[0][0], self.ys[-1][0]

        def x(value: float) -> float:
            return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

        def y(value: float) -> float:
            return top + TOP + (roof - value) / (roof - floor) * (HEIGHT - TOP - BOTTOM)

        parts = [f'<text class="title" x="12" y="{top + 22:g}">{self.title}</text>']
        for value, label in self.ys:
            parts.append(
                f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
            )
            parts.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{label}</text>')
        for value, label in self.xs:
            parts.append(
                f'<text x="{x(value):.1f}" y="{top + HEIGHT - BOTTOM + 17:.1f}" text-anchor="middle">{label}</text>'
            )
        parts.append(f'<text x="{WIDTH - RIGHT}" y="{top + HEIGHT - 8:g}" text-anchor="end">{self.across}</text>')
        if self.mark is not None:
            parts.append(
                f'<line class="mark" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(self.mark):.1f}" y2="{y(self.mark):.1f}"/>'
            )
        for number, line in enumerate(self.lines):
            points = [(f"{x(a):.1f}", f"{y(b):.1f}") for a, b in line.points]
            between = [f"H{a}V{b}" if line.stepped else f"L{a} {b}" for a, b in points[1:]]
            parts.append(f'<path class="s{number % 5}" d="M{points[0][0]} {points[0][1]}{"".join(between)}"/>')
            dots = points[-1:] if line.stepped else points
            parts += [f'<circle class="s{number % 5}" cx="{a}" cy="{b}" r="3.5"/>' for a, b in dots]
        return "".join(parts) + (self._legend(top + HEIGHT) if legend else "")

    def _legend(self, top: float) -> str:
        parts = []
        for number, line in enumerate(self.lines):
            x, y = 12 + number % 3 * 165, top + 14 + number // 3 * 20
            parts.append(
                f'<path class="s{number % 5}" d="M{x} {y}h22"/><text x="{x + 28}" y="{y + 4}">{line.name}</text>'
            )
        return "".join(parts)


def sheet(title: str, description: str, charts: Sequence[Chart], legend: bool = True) -> str:
    """Charts under each other, and the names of the last one's lines."""
    parts = [chart.drawn(HEIGHT * n, legend and n == len(charts) - 1) for n, chart in enumerate(charts)]
    height = HEIGHT * len(charts) + (10 + 20 * math.ceil(len(charts[-1].lines) / 3) if legend else 0)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img"><title>{title}</title><desc>{description}</desc><style>{STYLE}</style>'
        f'<rect class="ground" width="100%" height="100%" rx="8"/>{"".join(parts)}</svg>\n'
    )


def parallel() -> str:
    """Invalid texts and total variation, as the page on parallel decoding prints them."""
    page = (DOCS / "guide" / "parallel.md").read_text(encoding="utf-8")
    head, *rows = re.search(r"^```text\n(evaluations .*?)^```", page, re.MULTILINE | re.DOTALL)[1].splitlines()  # type: ignore[index]
    steps = [int(each) for each in head.split()[1:]]
    numbers = {row.split()[0]: [float(n) for n in re.findall(r"\d+\.\d+", row)] for row in rows}
    names = {name: name.replace("_", " ") for name in numbers}
    xs = [(math.log2(step), str(step)) for step in steps]
    across = "evaluations for six words"

    def lines(which: int) -> list[Line]:
        return [
            Line(names[name], [(x, value) for (x, _), value in zip(xs, values[which::2], strict=True)])
            for name, values in numbers.items()
        ]

    return sheet(
        "Naming several words at once",
        "Invalid texts and total variation against evaluations, by order; the numbers stand on the page",
        [
            Chart("texts that are no sentence, %", across, xs, [(n, str(n)) for n in (0, 25, 50, 75, 100)], lines(0)),
            Chart("total variation", across, xs, [(n / 4, f"{n / 4:g}") for n in range(5)], lines(1)),
        ],
    )


TEXT, SHOWN, MANY, SEED = "The capital of Peru is Lima.", 5, 100, 3


def paid(model: LanguageModel, path: int) -> list[tuple[float, float]]:
    """(t, nats so far) while the words of a text appear, from t = 1 down, in one history of its noise.

    The draws of a position are the same at all times, so it appears at one: where `corrupt` shows it. Each is paid with
    −ln p given what stands there by then.
    """
    process, around = model.predictor.process, model.trained.around
    written = [*around.before, *model.tokenizer.encode(TEXT), *around.after]
    ids = torch.tensor(written)
    draws = Draws.seeded(SEED).stream("path").at(path, torch.arange(len(ids)))
    place = torch.arange(len(ids))
    editable = (place >= len(around.before)) & (place < len(ids) - len(around.after))
    times = torch.linspace(1, 0, 501, dtype=torch.float64)
    states = [process.corrupt(ids, t.expand(len(ids)), draws, editable).state.ids for t in times]
    found, nats = [(1.0, 0.0)], 0.0
    for t, before, now in zip(times[1:].tolist(), states[:-1], states[1:], strict=True):
        appeared = (before != now).nonzero()[:, 0]
        if len(appeared):
            logits = model.logits(before[None])[0, appeared].double()
            real = torch.tensor(process.vocabulary.predictable)
            log_p = logits - logits[:, real].logsumexp(-1, keepdim=True)
            nats -= float(log_p.gather(-1, ids[appeared, None]).sum())
            found.append((t, nats))
    return [*found, (0.0, nats)]


def bound(model: LanguageModel) -> str:
    """What words of a text cost while they appear, in some histories of its noise; the mean of many is the bound."""
    paths = [paid(model, path) for path in range(MANY)]
    nats = sum(path[-1][1] for path in paths) / MANY
    paths = paths[:SHOWN]
    roof = 2 * math.ceil(max(path[-1][1] for path in paths) / 2)
    lines = [
        Line(f"history {n + 1}", [(1 - t, cost) for t, cost in path], stepped=True) for n, path in enumerate(paths)
    ]
    return sheet(
        "What a text costs while it appears",
        f"Nats paid for the words of {TEXT!r} from t = 1 to t = 0; dashed: the mean of {MANY}, {nats:.1f} nats",
        [
            Chart(
                f"nats paid so far; dashed: the mean of {MANY} such histories, {nats:.1f}",
                "t, from noise to text",
                [(n / 4, f"{1 - n / 4:g}") for n in range(5)],
                [(n, str(n)) for n in range(0, roof + 1, 2)],
                lines,
                mark=nats,
            )
        ],
        legend=False,
    )


BLANKS = "The capital of [MASK] is [MASK]."
DRAWN = {"strategy": "random", "temperature": 1.0}
RUNS = {
    "run_fact": ("The [MASK] of [MASK] is [MASK].", {"strategy": "confidence"}),
    "run_apart": (BLANKS, {**DRAWN, "steps": 1}),
    "run_together": (BLANKS, {**DRAWN, "steps": 2}),
}
"""Recorded runs of the gallery: the text, and how it is decoded."""


def run(model: LanguageModel, name: str) -> str:
    text, options = RUNS[name]
    return ud.animation(model.stream(text, **options), model.tokenizer, pace=1.0, width=420)


def pictures() -> dict[str, str]:
    """The files, by name."""
    model = ud.load("world")
    return {"parallel": parallel(), "bound": bound(model), **{name: run(model, name) for name in RUNS}}


if __name__ == "__main__":
    for name, drawing in pictures().items():
        (IMAGES / f"{name}.svg").write_text(drawing, encoding="utf-8")
