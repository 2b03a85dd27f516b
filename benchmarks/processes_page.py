"""Writes docs/comparison.md and its plots from benchmarks/results/processes; a test checks that the page is up to date.

python -m benchmarks.processes_page [STUDY]

STUDY is a directory of `undiffuse study processes`; what it holds beside runs is first copied to the results. The
verdict stands in benchmarks/results/processes/about.md, written by hand; the page is complete without it.
"""

import shutil
import sys
from pathlib import Path

from undiffuse.study.comparison import systems
from undiffuse.study.comparison_page import markdown, on_paper, table
from undiffuse.study.comparison_plot import draw
from undiffuse.study.comparison_sections import Section, against, sections
from undiffuse.study.processes import STUDY, results

from .report import RESULTS

FOUND = RESULTS / "processes"
DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "comparison.md"
RECIPES = ("mdlm", "udlm", "gidd", "xdlm")
HEAD = """# Recipes compared

This page is written by `python -m benchmarks.processes_page` from the files in `benchmarks/results/processes`, those of
one `undiffuse study processes`, which trains every recipe on the same text at equal cost and measures all in one unit.
What was asked stands at the end, in full.
"""
QUESTION = """## Masked, uniform, or both?

`mdlm` replaces tokens by a mask, `udlm` by other tokens; `gidd` and `xdlm` are the two mixtures, `gidd` with other
tokens at low noise and masks at high noise, `xdlm` with the same mixture at all levels. Bound, samples and
self-correction at equal cost, from the same runs as everything below; differences of bits per byte are by seed from the
first column. What the rows mean and what does not compare is said in the sections below.
"""


def page(found: Path = FOUND) -> str:
    """The whole page."""
    asked, cells = results(found)
    chosen = systems(cells)
    about, side = found / "about.md", against(chosen, RECIPES)
    parts = [HEAD]
    if len(side.heads) > 2:  # one recipe is no comparison
        parts += [
            QUESTION,
            *([about.read_text(encoding="utf-8").strip() + "\n"] if about.exists() else []),
            table(side),
        ]
    images = {name: f"images/{file(name)}" for part in sections(asked, chosen) for name in drawn(part)}
    return "\n".join(parts) + "\n" + markdown(asked, cells, images).partition("\n\n")[2]


def drawn(part: Section) -> list[str]:
    """Names of the plots of a part."""
    return [name for name, _ in part.figures]


def file(name: str) -> str:
    return f"processes_{name}.svg"


def write(found: Path = FOUND, docs: Path = DOCS) -> None:
    """The page and its images."""
    asked, cells = results(found)
    (docs / "images").mkdir(parents=True, exist_ok=True)
    for name, svg in draw(asked, systems(cells)).items():
        (docs / "images" / file(name)).write_text(on_paper(svg), encoding="utf-8")
    (docs / PAGE.name).write_text(page(found), encoding="utf-8")


def copy(study: Path, found: Path = FOUND) -> None:
    """What a study measured, without its runs; cells that are no longer there are removed."""
    shutil.rmtree(found / "cells", ignore_errors=True)
    (found / "cells").mkdir(parents=True)
    shutil.copy(study / STUDY, found / STUDY)
    for cell in sorted((study / "cells").glob("*.json")):
        shutil.copy(cell, found / "cells" / cell.name)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        copy(Path(sys.argv[1]))
    write()
