"""The picture of a contest: right answers by order, right answers by evaluations, and what else a showpiece draws."""

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .contest import TWIN, Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Panel = Callable[["Axes"], None]
INK, OURS, THEIRS, FAINT = "#16181d", "#0072b2", "#d55e00", 0.16
SETTINGS = {
    "svg.hashsalt": "undiffuse",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}


def draw(file: Path, found: Sequence[Line], panels: Sequence[Panel] = ()) -> str:
    """Right answers by order and by evaluations, and further panels."""
    return picture(file, [lambda axes: _orders(axes, found), lambda axes: _frontier(axes, found), *panels])


def picture(file: Path, panels: Sequence[Panel]) -> str:
    """Writes panels side by side as an SVG and says where, or why there is none."""
    if importlib.util.find_spec("matplotlib") is None:
        return "no picture: it needs matplotlib (pip install 'undiffuse[plot]')"
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        figure = Figure(figsize=(max(3.9 * len(panels), 5), 3.4), layout="constrained")
        FigureCanvasSVG(figure)
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            axes.grid(color=INK, alpha=FAINT, linewidth=0.6)
            panel(axes)
        figure.savefig(file, metadata={"Date": None, "Creator": None})
    return f"picture: {file}"


def _orders(axes: "Axes", found: Sequence[Line]) -> None:
    """One token per evaluation, by order; the twin last."""
    shown = [line for line in found if line.steps is None and line.strategy != "threshold"]
    for row, line in enumerate(shown):
        low, high = line.accuracy.interval
        share = line.accuracy.share
        bars = [[max(0.0, 100 * (share - low))], [max(0.0, 100 * (high - share))]]
        colour = THEIRS if line.way == TWIN else OURS
        axes.errorbar(100 * share, row, xerr=bars, color=colour, marker="o", markersize=5, capsize=3)
    axes.set_yticks(range(len(shown)), [line.way for line in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlim(-2, 102)
    axes.set_xlabel("right, % (95 % interval)")
    axes.set_title("one token per evaluation")


def _frontier(axes: "Axes", found: Sequence[Line]) -> None:
    """Right answers against evaluations: by confidence in fewer steps, by a threshold, and the twin."""
    steps = sorted((line for line in found if line.strategy == "confidence"), key=lambda line: line.nfe)
    axes.plot(
        [line.nfe for line in steps],
        [100 * line.accuracy.share for line in steps],
        color=OURS,
        marker="o",
        markersize=4,
        linewidth=1.2,
        label="confidence",
    )
    for line in found:
        if line.strategy == "threshold":
            axes.plot(
                line.nfe,
                100 * line.accuracy.share,
                color="#009e73",
                marker="D",
                linestyle="",
                markersize=6,
                label=line.way,
            )
        if line.way == TWIN:
            axes.plot(
                line.nfe, 100 * line.accuracy.share, color=THEIRS, marker="s", linestyle="", markersize=5, label="twin"
            )
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(-4, 104)
    axes.set_xlabel("evaluations of the network (NFE)")
    axes.set_ylabel("right, %")
    axes.legend(frameon=False)
