"""The guide: its code runs and prints what stands under it, its numbers are those of the results, its paths exist."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guide"
SOURCES = {
    "comparison": "docs/comparison.md",
    "showpieces": "docs/showpieces.md",
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


@pytest.mark.parametrize(
    "name", ["bound.md", "errata.md", "noises.md", pytest.param("parallel.md", marks=pytest.mark.slow)]
)
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


@pytest.mark.parametrize(("name", "least"), [("when.md", 25), ("gallery.md", 15)])
def test_numbers_of_tables_are_those_of_the_results(name, least):
    page, seen = read(f"docs/guide/{name}"), 0
    for line in page.splitlines():
        source = re.search(r"\| \[([^\]]+)\]\([^)]+\) \|$", line)
        if source is None:
            continue
        numbers = re.findall(r"\d+\.\d+", line)
        for number in numbers:
            assert number in read(SOURCES[source[1]]), (number, line)
        seen += len(numbers)
    assert seen > least


def test_numbers_of_the_prose_are_those_of_the_results():
    for number, source in QUOTED.items():
        assert number in " ".join(read(source).split()), number


def test_paths_of_the_reading_list_exist():
    named = re.findall(r"`(undiffuse/[\w/.]+)`", read("docs/guide/reading.md"))
    assert len(named) > 8
    for path in named:
        assert (ROOT / path).exists(), path


def test_what_repair_gives_is_recorded():
    lines = json.loads(read("benchmarks/results/showpieces/toy.json"))["result"]["lines"]
    two = next(line for line in lines if line["steps"] == 2)
    said = f"{100 * two['share']:.1f} % sentences before, {100 * two['repaired']:.1f} % after"
    assert said in " ".join(read("docs/guide/parallel.md").split())


def test_the_gallery_names_the_command_of_every_picture():
    page = read("docs/guide/gallery.md")
    for section in page.split("\n## ")[1:]:
        assert "](../images/" in section, section
        assert re.search(r"^undiffuse |`python docs/\w+\.py`", section, re.MULTILINE), section


def test_words_of_the_guide_are_in_the_glossary():
    """Those that the guide uses without saying what they are."""
    glossary = read("docs/glossary.md")
    pages = " ".join(read(str(page.relative_to(ROOT))) for page in sorted(GUIDE.glob("*.md"))).lower()
    words = (
        "twin, interval, evaluation, total variation, calibrated, schedule, bound, strategy, cache, entropy, history"
    )
    for word in words.split(", "):
        assert word in pages, word
        assert re.search(rf"^\| [^|]*\b{word}\b[^|]* \|", glossary, re.MULTILINE), word
