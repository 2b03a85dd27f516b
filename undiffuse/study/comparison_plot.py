"""The plots of a comparison as SVG text: a recipe has the same colour and mark in all of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .comparison import BOUND, EXACT, NOT_MINIMIZED, Share, System, finite

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#16181d"
"""Of text and axes; a page that has light and dark colours puts its own in its place."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
"""Okabe and Ito's, without yellow and black, which vanish on white and on black."""
MARKS = "osD^vPX"
LINES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
KINDS = {
    EXACT: ("D", "full", "exact"),
    BOUND: ("o", "full", "bound"),
    NOT_MINIMIZED: ("o", "none", "bound, not minimized"),
}
FAINT = 0.16
WIDTH = 9.0  # inches
SETTINGS = {
    "svg.hashsalt": "undiffuse",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}
Style = Mapping[str, Any]


def draw(asked: Mapping[str, Any], found: Sequence[System]) -> dict[str, str]:
    """SVG texts by name, transparent, of the plots that there is something for. UserError without matplotlib.

    The same numbers give the same texts, under one version of matplotlib.
    """
    styles = {recipe: _style(number) for number, recipe in enumerate(sorted(each.recipe for each in found))}
    real = asked["text"] if isinstance(asked.get("text"), Mapping) else {}
    with _settings():
        made = {
            "likelihood": _likelihood([each for each in found if each.bits], styles),
            "curves": _curves(found, styles),
            "generation": _generation(real, [each for each in found if each.generation], styles),
            "repair": _repair([each for each in found if each.repair], styles),
            "infill": _infill([(each.recipe, each.infill) for each in found if each.infill], styles),
        }
        return {name: _svg(figure) for name, figure in made.items() if figure is not None}


def require_matplotlib() -> None:
    """UserError if plots cannot be drawn."""
    import importlib.util

    if importlib.util.find_spec("matplotlib") is None:
        raise UserError("plots need matplotlib: pip install 'undiffuse[plot]', or give --no-plot")


@contextmanager
def _settings() -> Iterator[None]:
    require_matplotlib()
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # what a user has set elsewhere does not change a page
        matplotlib.rcParams.update(SETTINGS)
        yield


def _style(number: int) -> Style:
    """All are different up to 49 recipes."""
    turn = number // len(COLOURS)
    return {
        "color": COLOURS[number % len(COLOURS)],
        "marker": MARKS[(number + turn) % len(MARKS)],
        "linestyle": LINES[turn % len(LINES)],
    }


def _figure(height: float, rows: int = 1, columns: int = 1, **options: Any) -> "tuple[Figure, list[Axes]]":
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=0.1))
    FigureCanvasSVG(figure)
    axes = figure.subplots(rows, columns, squeeze=False, **options).ravel().tolist()
    for each in axes:
        each.grid(color=INK, alpha=FAINT, linewidth=0.6)
        each.patch.set_alpha(0)
    return figure, axes


def _svg(figure: "Figure") -> str:
    from io import StringIO

    text = StringIO()
    figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _rows(axes: "Axes", recipes: Sequence[str]) -> None:
    """A line per recipe, the first on top."""
    axes.set_yticks(range(len(recipes)), recipes)
    axes.set_ylim(len(recipes) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _tall(rows: int, each: float = 0.27) -> float:
    return 1.1 + each * max(rows, 3)


def _likelihood(shown: Sequence[System], styles: Mapping[str, Style]) -> "Figure | None":
    if not shown:
        return None
    figure, (axes,) = _figure(_tall(len(shown)))
    labels = set()
    for row, each in enumerate(shown):
        assert each.bits is not None
        mark, fill, label = KINDS.get(each.kind, ("X", "full", each.kind))
        colour, seeds = styles[each.recipe]["color"], list(each.bits.by_seed.values())
        axes.scatter(seeds, [row] * len(seeds), s=14, color=colour, alpha=0.45, linewidths=0)
        style: Style = {"color": colour, "marker": mark, "fillstyle": fill, "markersize": 6, "capsize": 3}
        axes.errorbar(each.bits.mean, row, xerr=each.bits.error, **style)
        if label not in labels:
            labels.add(label)
            axes.plot([], [], color=INK, marker=mark, fillstyle=fill, linestyle="", label=label)
    axes.plot([], [], color=INK, marker="o", alpha=0.45, markersize=3, linestyle="", markeredgewidth=0, label="a seed")
    _rows(axes, [each.recipe for each in shown])
    axes.set_xlabel("bits per byte of the held-out text (mean ± standard error)")
    _legend(figure)
    return figure


def _curves(found: Sequence[System], styles: Mapping[str, Style]) -> "Figure | None":
    lines = {each.recipe: {name: each.curve(name) for name in ("seconds", "steps")} for each in found}
    lines = {recipe: both for recipe, both in lines.items() if all(both.values())}
    if not lines:
        return None
    figure, panels = _figure(max(4.4, 0.19 * len(lines) + 1), columns=2, sharey=True)
    ends = [both["seconds"][-1][1] for both in lines.values()]
    start = max(both["seconds"][0][1] for both in lines.values())
    low = min(y for both in lines.values() for _, y in both["seconds"])
    # the first validations lie far above what tells recipes apart
    high = min(start, max(ends) + 1.0 * (max(ends) - low) + 0.3)
    margin = 0.04 * (high - low)
    for panel, name in zip(panels, ("seconds", "steps"), strict=True):
        for recipe, both in lines.items():
            xs, ys = zip(*both[name], strict=True)
            many = max(1, len(xs) // 8)
            panel.plot(xs, ys, **styles[recipe], linewidth=1.3, markersize=4, markevery=(many // 2, many))
        panel.set_xlabel(f"{name} of training")
        panel.set_xlim(left=0)
        panel.set_ylim(low - margin, high + margin)
        _label_ends(panel, {recipe: both[name][-1] for recipe, both in lines.items()}, styles)
    panels[0].set_ylabel("validation, bits per byte")
    panels[1].tick_params(axis="y", labelleft=True)
    return figure


def _generation(real: Mapping[str, Any], shown: Sequence[System], styles: Mapping[str, Style]) -> "Figure | None":
    if not shown:
        return None
    figure, panels = _figure(max(4.4, 0.19 * len(shown) + 1), columns=2)
    labels = {"surprise": "bits per byte of samples under an n-gram", "entropy": "entropy of a sample's tokens, nats"}
    for panel, (name, label) in zip(panels, labels.items(), strict=True):
        ends: dict[str, tuple[float, float]] = {}
        for each in shown:
            for strategy in dict.fromkeys(line.strategy for line in each.generation):
                points = [(x.nfe.mean, getattr(x, name)) for x in each.generation if x.strategy == strategy]
                xs, ys = [x for x, _ in points], [y.mean for _, y in points]
                errors = [y.error or 0.0 for _, y in points]
                panel.errorbar(xs, ys, yerr=errors, **styles[each.recipe], linewidth=1.3, markersize=4.5, capsize=2)
                ends[each.recipe] = max(ends.get(each.recipe, (xs[-1], ys[-1])), (xs[-1], ys[-1]))
        if finite(real.get(name)):
            panel.axhline(real[name], color=INK, linestyle=(0, (5, 3)), linewidth=1)
            place: Style = {"xycoords": ("axes fraction", "data"), "xytext": (3, 3), "textcoords": "offset points"}
            panel.annotate("real text", (0, real[name]), **place)
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter("{x:g}")
        panel.set_xlabel("evaluations of the network per sample (NFE)")
        panel.set_ylabel(label)
        _label_ends(panel, ends, styles)
    return figure


def _repair(shown: Sequence[System], styles: Mapping[str, Style]) -> "Figure | None":
    shares = sorted({line.share for each in shown for line in each.repair})
    methods = list(dict.fromkeys(line.method for each in shown for line in each.repair))
    if not shown:
        return None
    tall = _tall(len(shown), max(0.27, 0.13 * len(methods) + 0.08))
    figure, panels = _figure(tall * len(shares), rows=len(shares), columns=3, sharey=True, sharex="col")
    for place, share in enumerate(shares):
        row = panels[3 * place : 3 * place + 3]
        for number, each in enumerate(shown):
            for line in each.repair:
                if line.share != share:
                    continue
                at = methods.index(line.method)
                y = number + (at - (len(methods) - 1) / 2) * 0.7 / max(len(methods), 2)
                style = {"color": styles[each.recipe]["color"], "marker": MARKS[at % len(MARKS)], "markersize": 4.5}
                for panel, counted in ((row[0], line.repaired), (row[1], line.damaged)):
                    panel.errorbar(100 * counted.pooled.share, y, xerr=_bars(counted), **style, capsize=2, linewidth=1)
                row[2].errorbar(line.net.mean, y, xerr=line.net.error, **style, capsize=2, linewidth=1)
        for panel in row:
            _rows(panel, [each.recipe for each in shown])
            for line_at in range(1, len(shown)):
                panel.axhline(line_at - 0.5, color=INK, alpha=FAINT / 2, linewidth=0.6)
        row[2].axvline(0, color=INK, linewidth=0.8)
        row[0].set_title(f"{100 * share:g} % of the tokens wrong", loc="left")
    labels = ("repaired, % of wrong tokens", "damaged, % of right tokens", "net gain per wrong token")
    for panel, label in zip(panels[-3:], labels, strict=True):
        panel.set_xlabel(label)
    for at, method in enumerate(methods):
        panels[0].plot([], [], color=INK, marker=MARKS[at % len(MARKS)], linestyle="", markersize=4.5, label=method)
    _legend(figure)
    return figure


def _infill(shown: Sequence[tuple[str, Share]], styles: Mapping[str, Style]) -> "Figure | None":
    if not shown:
        return None
    figure, (axes,) = _figure(_tall(len(shown)))
    for row, (recipe, share) in enumerate(shown):
        style: Style = {"color": styles[recipe]["color"], "marker": "o", "markersize": 5.5, "capsize": 3}
        axes.errorbar(100 * share.pooled.share, row, xerr=_bars(share), **style)
    _rows(axes, [recipe for recipe, _ in shown])
    axes.set_xlabel("hidden tokens named by the best guess, % (95 % interval)")
    return figure


def _bars(share: Share) -> list[list[float]]:
    """Below and above, in percent; rounding may leave an end on the wrong side by nothing."""
    low, high = share.pooled.interval
    return [[max(0.0, 100 * (share.pooled.share - low))], [max(0.0, 100 * (high - share.pooled.share))]]


def _legend(figure: "Figure") -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), frameon=False, handletextpad=0.3)


def _label_ends(axes: "Axes", ends: Mapping[str, tuple[float, float]], styles: Mapping[str, Style]) -> None:
    """Names and marks right of the axes in the order of the ends of their curves, apart, each led to its end."""
    bottom, top = axes.get_ylim()
    heights = {name: (y - bottom) / (top - bottom) for name, (_, y) in ends.items()}
    gap = 0.155 / (axes.figure.bbox.height / axes.figure.dpi - 0.8)  # a line of small text, in heights of the axes
    order = sorted(heights, key=lambda name: heights[name])
    for name, place in zip(order, spread([heights[name] for name in order], gap), strict=True):
        colour, mark = styles[name]["color"], styles[name]["marker"]
        line = {"arrowstyle": "-", "color": colour, "alpha": 0.5, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0}
        beside: Style = {"xycoords": "data", "textcoords": "axes fraction", "annotation_clip": False, "va": "center"}
        axes.annotate("", ends[name], (1.045, place), arrowprops=line, **beside)
        axes.plot(1.05, place, color=colour, marker=mark, markersize=4, transform=axes.transAxes, clip_on=False)
        axes.annotate(name, (1.075, place), xycoords="axes fraction", va="center", fontsize=8, annotation_clip=False)


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Ascending places moved as little as possible (in squares) until neighbours are `gap` apart.

    With the gaps taken off it is a monotone regression: neighbours out of order take their mean.
    """
    blocks: list[tuple[float, int]] = []
    for number, place in enumerate(places):
        total, count = place - number * gap, 1
        while blocks and blocks[-1][0] / blocks[-1][1] >= total / count:
            before, size = blocks.pop()
            total, count = total + before, count + size
        blocks.append((total, count))
    level = [total / count for total, count in blocks for _ in range(count)]
    return [value + number * gap for number, value in enumerate(level)]
