"""A comparison of recipes as pages: Markdown, and one HTML file that needs nothing but itself."""

import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..durable import write_bytes
from .comparison import Cell, systems
from .comparison_plot import INK, draw
from .comparison_sections import Table, facts, refusals, sections, templates

TITLE = "Diffusion language models compared"
ORDER = "Recipes stand in the order of their bits per byte in all tables and plots."
PAPER = "#ffffff"


def write_pages(out: Path, asked: Mapping[str, Any], cells: Sequence[Cell], plots: bool) -> None:
    """processes.md and index.html in `out`; with `plots` also their SVG files. UserError if matplotlib is missing."""
    pictures = draw(asked, systems(cells)) if plots else {}
    out.mkdir(parents=True, exist_ok=True)
    for name, svg in pictures.items():
        write_bytes(out / f"{name}.svg", on_paper(svg).encode())
    page = markdown(asked, cells, {name: f"{name}.svg" for name in pictures})
    write_bytes(out / "processes.md", page.encode())
    write_bytes(out / "index.html", html(asked, cells, pictures).encode())


def markdown(asked: Mapping[str, Any], cells: Sequence[Cell], images: Mapping[str, str]) -> str:
    """The page; `images` are paths of plots by name."""
    return _page("page.md.jinja", asked, cells, images, table=table, plain=_plain)


def html(asked: Mapping[str, Any], cells: Sequence[Cell], pictures: Mapping[str, str]) -> str:
    """The page as one file, with plots as SVG texts by name inside."""
    seeds, runs = len({cell["seed"] for cell in cells}), len(cells)
    lead = f"{len(systems(cells))} recipes, {runs} runs, {seeds} {'seed' if seeds == 1 else 'seeds'}. {ORDER}"
    return _page("page.html.jinja", asked, cells, pictures, lead=lead, inline=_inline)


def _page(
    template: str, asked: Mapping[str, Any], cells: Sequence[Cell], pictures: Mapping[str, str], **values: Any
) -> str:
    found = systems(cells)
    return (
        templates()
        .get_template(template)
        .render(
            title=TITLE,
            order=ORDER,
            asked="What was asked",
            not_measured="Not measured",
            parts=sections(asked, found),
            facts=Table(("", ""), tuple(facts(asked)), words=2),
            refused=refusals(found),
            pictures=pictures,
            **values,
        )
    )


def table(content: Table) -> str:
    """Markdown, numbers to the right."""
    rule = tuple("---" if i < content.words else "---:" for i in range(len(content.heads)))
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in (content.heads, rule, *content.rows)) + "\n"


def on_paper(svg: str) -> str:
    """A file of its own: a white ground, so that it reads on a dark page."""
    ground = f'<rect width="100%" height="100%" fill="{PAPER}"/>'
    return re.sub(r"(<svg\b[^>]*>)", lambda head: head[1] + "\n " + ground, svg, count=1)


def _inline(svg: str, name: str, about: str) -> str:
    """An SVG inside a page: its ids are its own there, its ink is the page's, and it says what it shows."""
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'((?:xlink:)?href=")#', rf"\1#{name}-", svg)
    svg = svg.replace("url(#", f"url(#{name}-").replace(INK, "currentColor")
    head = re.match(r"<svg\b[^>]*>", svg)
    assert head is not None
    plain = re.sub(r' (?:width|height|version)="[^"]*"', "", head[0])
    label = f'{plain[:-1]} role="img" aria-label="{escape(about)}">'
    return label + svg[head.end() :].rstrip()


def _plain(text: str) -> str:
    """A line of Markdown that means nothing else."""
    return re.sub(r"\s+", " ", text).replace("<", "&lt;")


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")
