"""A hook of MkDocs: pages of the site that are no files of docs/.

The README is the first page; CONTRIBUTING, SECURITY and CHANGELOG come from the root; notebooks are pages as they were
run; and every package of the library has a page of reference, made of its docstrings.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[1]
PROJECT = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "THIRD_PARTY.md": "third_party.md",
}
PACKAGES = {
    "undiffuse.language_model": "The verbs",
    "undiffuse.process": "Noise",
    "undiffuse.objective": "Objectives",
    "undiffuse.likelihood": "Likelihood",
    "undiffuse.decode": "Decoding",
    "undiffuse.models": "Networks",
    "undiffuse.text": "Text",
    "undiffuse.data": "Data",
    "undiffuse.training": "Training",
    "undiffuse.evaluate": "Evaluation",
    "undiffuse.study": "Studies",
    "undiffuse.serve": "The server",
    "undiffuse.demo": "Demonstrations",
    "undiffuse.exact": "Exact enumeration",
}
"""Packages with a page of reference, and its title."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The menu, with what it does not name: pages of docs/ under More, and the reference."""
    assert config.nav is not None
    named = set(_named(config.nav))
    written = sorted(page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md"))
    pages = [{title: f"reference/{package.rpartition('.')[2]}.md"} for package, title in PACKAGES.items()]
    config.nav.append({"More": [page for page in written if page not in named]})
    config.nav.append({"Reference": [{"Records and errors": "reference/undiffuse.md"}, *pages]})
    return config


def _named(part: Any) -> Iterator[str]:
    """The pages in a part of the menu."""
    if isinstance(part, str):
        yield part
    else:
        for each in part.values() if isinstance(part, dict) else part:
            yield from _named(each)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for source, target in PROJECT.items():
        files.append(File.generated(config, target, content=moved((ROOT / source).read_text(encoding="utf-8"))))
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        for name, content in as_run(notebook).items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    files.append(File.generated(config, "reference/undiffuse.md", content=_page("undiffuse", "Records and errors", "")))
    for package, title in PACKAGES.items():
        content = _page(package, title, "**/")
        files.append(File.generated(config, f"reference/{package.rpartition('.')[2]}.md", content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links to notebooks lead to their pages."""
    return re.sub(r"(\]\([\w./-]+)\.ipynb\)", r"\1.md)", markdown)


def as_run(notebook: Path) -> dict[str, str | bytes]:
    """A notebook as a page with its outputs, and its pictures, by file name."""
    text, found = MarkdownExporter().from_filename(str(notebook))
    pictures = {name: f"{notebook.stem}_{name}" for name in found["outputs"]}
    for name, own in pictures.items():
        text = text.replace(f"]({name})", f"]({own})")
    text = re.sub(r"!\[\w+\]", "![What the cell above draws]", text)
    return {f"{notebook.stem}.md": text, **{own: found["outputs"][name] for name, own in pictures.items()}}


def moved(text: str) -> str:
    """A page of the root as one of docs/: its links lead to pages of the site, and to files that are none no more."""

    def link(found: re.Match[str]) -> str:
        words, (path, mark, anchor) = found[1], found[2].partition("#")
        if ":" in path:
            return found[0]
        if path in PROJECT:
            return f"[{words}]({PROJECT[path]}{mark}{anchor})"
        if path.startswith("docs/") and (ROOT / path).is_file():
            return f"[{words}]({path.removeprefix('docs/')}{mark}{anchor})"
        return words

    return re.sub(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)", link, text).replace("](docs/images/", "](images/")


def _page(package: str, title: str, deep: str) -> str:
    """A title, and the reference of every module with a docstring and something public in it."""
    folder = ROOT / package.replace(".", "/")
    parts = [f"# {title}\n", f"`{package}`\n"]
    for file in sorted(folder.glob(f"{deep}*.py")):
        text = file.read_text(encoding="utf-8")
        if file.stem.startswith("_") or not re.search(r"^(?:class|def|async def) [A-Za-z]", text, re.MULTILINE):
            continue
        parts.append(f"::: {'.'.join(file.relative_to(ROOT).with_suffix('').parts)}\n")
    return "\n".join(parts)
