"""What a release rests on agrees: one version, files that reach the wheel, what CI runs, and whose data is here."""

import ast
import fnmatch
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]


def tracked(*where: str) -> list[str]:
    """Files of the repository; skipped where this is a copy without one."""
    found = subprocess.run(["git", "ls-files", *where], cwd=ROOT, capture_output=True, text=True)
    if found.returncode or not found.stdout:
        pytest.skip("no git repository")
    return found.stdout.splitlines()


def test_the_version_is_the_same_everywhere():
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert cited is not None
    assert cited[1] == PROJECT["version"]
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] in ("Unreleased", PROJECT["version"])
    written = [path for path in tracked("undiffuse") if path.endswith(".py") and PROJECT["version"] in read(path)]
    assert written == [], "the code asks the installed package for its version"


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_every_file_of_the_package_that_is_no_code_is_in_the_wheel():
    globs = PYPROJECT["tool"]["setuptools"]["package-data"]["undiffuse"]
    for path in tracked("undiffuse"):
        name = path.removeprefix("undiffuse/")
        if not name.endswith(".py"):
            assert any(fnmatch.fnmatch(name, glob) and name.count("/") == glob.count("/") for glob in globs), name


def test_ci_runs_on_every_python_that_is_promised():
    yaml = pytest.importorskip("yaml")
    workflow = yaml.safe_load(read(".github/workflows/ci.yml"))
    matrix = workflow["jobs"]["run"]["strategy"]["matrix"]
    promised = [line.split(" :: ")[-1] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert matrix["python"] == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"
    assert matrix["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    commands = [step["run"] for step in workflow["jobs"]["run"]["steps"] if "run" in step]
    assert "bash .ci/run" in commands


def test_targets_that_ci_makes_exist():
    targets = re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE)
    for target in re.findall(r"^make (\S+)", read(".ci/run"), re.MULTILINE):
        assert target in targets


def test_the_page_of_others_work_names_every_fixture_and_table():
    page = read("THIRD_PARTY.md")
    for folder in {path.split("/")[2] for path in tracked("tests/golden")}:
        assert f"`{folder}`" in page, folder
    for path in tracked("undiffuse"):
        if path.endswith((".tsv", ".csv")):
            assert f"`{path}`" in page, path


def test_texts_are_read_and_written_as_utf_8_on_every_system():
    """But for what Linux says of its memory."""
    for path in tracked("undiffuse"):
        if not path.endswith(".py") or path == "undiffuse/language_model/memory.py":
            continue
        for node in ast.walk(ast.parse(read(path))):
            method = node.func.attr if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else ""
            if method in ("read_text", "write_text"):
                assert "encoding" in {keyword.arg for keyword in node.keywords}, f"{path}:{node.lineno}"
