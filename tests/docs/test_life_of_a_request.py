"""Every name in docs/life-of-a-request.md and its diagram exists in the code."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "life-of-a-request.md").read_text(encoding="utf-8")
DRAWING = (ROOT / "docs" / "images" / "life_of_a_request.svg").read_text(encoding="utf-8")
FOLDERS = ("undiffuse/serve", "undiffuse/serve/api", "undiffuse/decode")


def defined():
    """Names of classes and functions of the server and the decoder, with `Class.member`."""
    found = set()
    for folder in FOLDERS:
        for file in (ROOT / folder).glob("*.py"):
            for node in ast.parse(file.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    members = [m.name for m in node.body if isinstance(m, ast.FunctionDef | ast.AsyncFunctionDef)]
                    found |= {node.name, *(f"{node.name}.{member}" for member in members)}
                elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    found.add(node.name)
    return found


def test_every_name_exists():
    names = set(re.findall(r"`(_?[A-Za-z]\w*(?:\.\w+)?)`", PAGE)) - {"max_nfe"}
    assert len(names) >= 30
    assert names - defined() == set()


def test_every_file_exists():
    files = set(re.findall(r"`(undiffuse/[\w/]+\.py)`", PAGE))
    assert len(files) >= 10
    assert [file for file in sorted(files) if not (ROOT / file).is_file()] == []


def test_every_name_of_the_diagram_exists():
    said = re.findall(r">([^<>]+)</text>", DRAWING)
    members = {name.rpartition(".")[2] for name in defined()}
    called = {name for text in said for name in re.findall(r"(\w+)\(", text)} - {"send", "fits", "deficit"}
    own = {name for text in said for name in re.findall(r"\b_\w+", text)}
    kinds = {name for text in said for name in re.findall(r"\b(?:[A-Z][a-z]+)+\b", text)} - {"Job", "None"}
    assert len(called | own | kinds) >= 15
    assert (called | own | kinds) - members == set()
    assert "Job" in members
