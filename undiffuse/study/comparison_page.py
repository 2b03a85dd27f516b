"""A comparison of recipes as pages: Markdown, and one HTML file that needs nothing but itself."""

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..durable import write_bytes
from .comparison import Cell, systems
from .comparison_plot import INK, draw
from .comparison_sections import Section, Table, facts, refusals, sections

TITLE = "Diffusion language models compared"
ORDER = "Recipes stand in the order of their bits per byte in all tables and plots."
REFUSED = "Not measured"
ASKED = "What was asked"
PAPER = "#ffffff"
STYLE = """
:root {
  color-scheme: light dark; --ink: #16181d; --soft: #5a6070; --paper: #ffffff; --rule: #dfe2e8; --shade: #f6f7f9;
  --link: #0058a3;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e6eb; --soft: #a2a8b5; --paper: #14161a; --rule: #33373f; --shade: #1c1f25; --link: #7cc0ff; }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif;
}
main { max-width: 64rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; letter-spacing: -.01em; }
h2 { font-size: 1.3rem; margin: 3rem 0 .6rem; padding-top: 1.2rem; border-top: 1px solid var(--rule); }
p, ul { max-width: 46rem; margin: 0 0 .8rem; }
ul { padding-left: 1.2rem; }
nav { margin: 1.2rem 0 0; }
nav a { margin-right: 1.1rem; }
a { color: var(--link); }
.lead, .notes, dt, figcaption { color: var(--soft); }
.notes { font-size: .85rem; padding-left: 1.1rem; margin-top: .6rem; }
.wide { overflow-x: auto; margin: 1.2rem 0 .4rem; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: .3rem .9rem .3rem 0; text-align: right; vertical-align: baseline; }
th.word, td.word { text-align: left; }
thead th { border-bottom: 1.5px solid var(--ink); font-weight: 600; vertical-align: bottom; }
tbody tr { border-bottom: 1px solid var(--rule); }
tbody tr:hover { background: var(--shade); }
tbody th { font-weight: 600; }
figure { margin: 1.4rem 0; }
figure svg { display: block; width: 100%; height: auto; }
figcaption { font-size: .85rem; margin-top: .3rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.2rem; font-size: .9rem; }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  figure { overflow-x: auto; }
  figure svg { min-width: 38rem; }
  dl { grid-template-columns: 1fr; }
}
@media print { figure, tr { break-inside: avoid; } .wide { overflow: visible; } }
"""


def write_pages(out: Path, asked: Mapping[str, Any], cells: Sequence[Cell], plots: bool) -> None:
    """processes.md and index.html in `out`; with `plots` also their SVG files. UserError if matplotlib is missing."""
    pictures = draw(asked, systems(cells)) if plots else {}
    out.mkdir(parents=True, exist_ok=True)
    for name, svg in pictures.items():
        write_bytes(out / f"{name}.svg", on_paper(svg).encode())
    page = markdown(asked, cells, {name: f"{name}.svg" for name in pictures})
    write_bytes(out / "processes.md", page.encode())
    write_bytes(out / "index.html", html(asked, cells, pictures).encode())


def markdown(asked: Mapping[str, Any], cells: Sequence[Cell], images: Mapping[str, str], title: str = TITLE) -> str:
    """The page; `images` are paths of plots by name."""
    found = systems(cells)
    return "\n".join(
        [f"# {title}\n", ORDER + "\n", *parts(asked, cells, images), f"## {ASKED}\n", *_facts(asked), *_refused(found)]
    )


def parts(asked: Mapping[str, Any], cells: Sequence[Cell], images: Mapping[str, str]) -> list[str]:
    """The sections of measured parts in Markdown."""
    lines = []
    for part in sections(asked, systems(cells)):
        lines += [f"## {part.title}\n", part.meaning + "\n", f"How it was measured. {part.measured}\n"]
        lines += [f"What does not compare. {part.mind}\n"]
        lines += [f"![{about}]({images[name]})\n" for name, about in part.figures if name in images]
        lines += [*map(table, part.tables), *(f"- {_plain(note)}" for note in part.notes), ""]
    return lines


def table(content: Table) -> str:
    """Markdown, numbers to the right."""
    lines = [
        content.heads,
        tuple("---" if i < content.words else "---:" for i in range(len(content.heads))),
        *content.rows,
    ]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def html(asked: Mapping[str, Any], cells: Sequence[Cell], pictures: Mapping[str, str]) -> str:
    """The page as one file, with plots as SVG texts by name inside."""
    found = systems(cells)
    shown = sections(asked, found)
    missing = refusals(found)
    links = (
        [(part.name, part.title) for part in shown] + [("asked", ASKED)] + ([("refused", REFUSED)] if missing else [])
    )
    seeds = sorted({cell["seed"] for cell in cells})
    lead = f"{len(found)} recipes, {len(cells)} runs, {len(seeds)} {'seed' if len(seeds) == 1 else 'seeds'}. {ORDER}"
    body = [
        f"<h1>{escape(TITLE)}</h1>",
        f'<p class="lead">{escape(lead)}</p>',
        "<nav>" + "".join(f'<a href="#{name}">{escape(title)}</a>' for name, title in links) + "</nav>",
        *(_section(part, pictures) for part in shown),
        f'<section id="asked"><h2>{escape(ASKED)}</h2><dl>',
        *(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts(asked)),
        "</dl></section>",
    ]
    if missing:
        items = "".join(f"<li>{escape(line)}</li>" for line in missing)
        body.append(f'<section id="refused"><h2>{escape(REFUSED)}</h2><ul>{items}</ul></section>')
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(TITLE)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def on_paper(svg: str) -> str:
    """A file of its own: a white ground, so that it reads on a dark page."""
    ground = f'<rect width="100%" height="100%" fill="{PAPER}"/>'
    return re.sub(r"(<svg\b[^>]*>)", lambda head: head[1] + "\n " + ground, svg, count=1)


def _section(part: Section, pictures: Mapping[str, str]) -> str:
    figures = [
        f"<figure>{_inline(pictures[name], name, about)}<figcaption>{escape(about)}.</figcaption></figure>"
        for name, about in part.figures
        if name in pictures
    ]
    notes = "".join(f"<li>{escape(note)}</li>" for note in part.notes)
    return "\n".join(
        [
            f'<section id="{part.name}"><h2>{escape(part.title)}</h2>',
            f"<p>{escape(part.meaning)}</p>",
            f"<p><strong>How it was measured.</strong> {escape(part.measured)}</p>",
            f"<p><strong>What does not compare.</strong> {escape(part.mind)}</p>",
            *figures,
            *map(_table, part.tables),
            f'<ul class="notes">{notes}</ul></section>',
        ]
    )


def _table(content: Table) -> str:
    def line(cells: Sequence[str], tag: Callable[[int], str]) -> str:
        found = []
        for column, text in enumerate(cells):
            word = ' class="word"' if column < content.words else ""
            scope = ' scope="row"' if tag(column) == "th" and cells is not content.heads else ""
            found.append(f"<{tag(column)}{word}{scope}>{escape(text)}</{tag(column)}>")
        return "<tr>" + "".join(found) + "</tr>"

    head = line(content.heads, lambda column: "th")
    rows = "\n".join(line(row, lambda column: "th" if column == 0 else "td") for row in content.rows)
    return f'<div class="wide"><table><thead>{head}</thead>\n<tbody>\n{rows}\n</tbody></table></div>'


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


def _facts(asked: Mapping[str, Any]) -> list[str]:
    return [table(Table(("", ""), tuple(facts(asked)), words=2))]


def _refused(found: Sequence[Any]) -> list[str]:
    missing = refusals(found)
    return [f"## {REFUSED}\n", *(f"- {_plain(line)}" for line in missing), ""] if missing else []


def _plain(text: str) -> str:
    """A line of Markdown that means nothing else."""
    return re.sub(r"\s+", " ", text).replace("<", "&lt;")


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")
