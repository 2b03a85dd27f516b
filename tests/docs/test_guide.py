"""The guide: its code runs and prints what stands under it, its numbers are those of the results, its paths exist."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guide"
SOURCES = {
    "comparison": "docs/comparison.md",
    "calibration": "benchmarks/results/calibration.md",
    "parallel decoding": "benchmarks/results/parallel_sorting.md",
}
"""Where the numbers of a table's row come from, by the words of its link."""
QUOTED = {
    "3.62": "benchmarks/results/decoding_1_float32.md",
    "3.48-3.75": "benchmarks/results/decoding_1_float32.md",
    "0.356": "benchmarks/results/proofreading.md",
    "2.39 bits per byte": "docs/log.md",
    "60 to 64 evaluations for 64 tokens": "docs/log.md",
}


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["bound.md", "errata.md"])
def test_code_prints_what_stands_under_it(name):
    page = (GUIDE / name).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) == page.count("```python")
    space: dict = {}
    for code, said in blocks:
        shown = io.StringIO()
        with contextlib.redirect_stdout(shown):
            exec(compile(code, name, "exec"), space)
        assert shown.getvalue() == said


def test_numbers_of_tables_are_those_of_the_results():
    page, seen = read("docs/guide/when.md"), 0
    for line in page.splitlines():
        source = re.search(r"\| \[([^\]]+)\]\([^)]+\) \|$", line)
        if source is None:
            continue
        numbers = re.findall(r"\d+\.\d+", line)
        for number in numbers:
            assert number in read(SOURCES[source[1]]), (number, line)
        seen += len(numbers)
    assert seen > 25


def test_numbers_of_the_prose_are_those_of_the_results():
    for number, source in QUOTED.items():
        assert number in " ".join(read(source).split()), number


def test_paths_of_the_reading_list_exist():
    named = re.findall(r"`(undiffuse/[\w/.]+)`", read("docs/guide/reading.md"))
    assert len(named) > 8
    for path in named:
        assert (ROOT / path).exists(), path
