"""What the documentation shows runs: commands exist, Python runs, links lead somewhere, pages are up to date."""

import importlib.util
import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.main import get_command

from undiffuse.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """Command lines in code blocks, with or without a prompt sign."""
    blocks = "\n".join(block for _, block in BLOCK.findall(page.read_text(encoding="utf-8")))
    return re.findall(r"^(?:\$ )?(undiffuse .*)$", blocks, re.MULTILINE)


def test_the_page_of_commands_is_what_the_command_line_says():
    spec = importlib.util.spec_from_file_location("commands_page", ROOT / "docs" / "commands.py")
    assert spec is not None
    assert spec.loader is not None
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    assert writer.PAGE.read_text(encoding="utf-8") == writer.page(), "run: python docs/commands.py"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_shown_is_one(page):
    for line in commands(page):
        words = shlex.split(line.partition(" # ")[0].partition(" > ")[0])
        with get_command(app).make_context("undiffuse", words[1:]) as context:
            verb = context.command.commands[words[1]]
            verb.make_context(words[1], words[2:], parent=context)


def test_the_readme_shows_every_verb():
    shown = {line.split()[1] for line in commands(ROOT / "README.md")}
    assert shown >= {"train", "fill", "generate", "score", "verify", "config", "list"}


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md", "README.md"])
def test_files_that_are_named_exist(name):
    """But for those of the table that says what could be written."""
    told = (ROOT / name).read_text(encoding="utf-8").partition("## Where additions go")[0]
    named = re.findall(r"`((?:undiffuse|tests)/[\w/.]+|[a-z_]+/(?:[a-z_/]+\.py)?)`", told)
    assert named
    for path in named:
        assert (ROOT / path).exists() or (ROOT / "undiffuse" / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#:]+)\)|src=\"([^\":]+)\"", page.read_text(encoding="utf-8")):
        assert (page.parent / (target[0] or target[1])).exists(), target


@pytest.mark.slow
def test_the_python_of_the_readme_runs(tmp_path, monkeypatch, capsys):
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    blocks = [block for language, block in BLOCK.findall((ROOT / "README.md").read_text()) if language == "python"]
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert "bits per byte" in capsys.readouterr().out
