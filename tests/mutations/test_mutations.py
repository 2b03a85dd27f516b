"""Every wrong formula in the list is caught by the law that it names."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from mutations import MUTATIONS

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "undiffuse"
SHARES, QUICK = 4, 1
"""In how many programs they are tried, and how many of them `make test` starts: all take 76 CPU seconds."""


@pytest.mark.parametrize(
    "share", [pytest.param(share, marks=[pytest.mark.slow] if share >= QUICK else []) for share in range(SHARES)]
)
def test_every_mutation_is_caught(share: int) -> None:
    command = [sys.executable, str(HERE / "worker.py"), str(share), str(SHARES)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    caught = {record["number"]: record["caught"] for record in map(json.loads, finished.stdout.splitlines())}
    assert sorted(caught) == list(range(share, len(MUTATIONS), SHARES))
    assert [MUTATIONS[number] for number, law in caught.items() if law is None] == []


def test_every_source_text_still_occurs_exactly_once() -> None:
    for mutation in MUTATIONS:
        count = (PACKAGE / mutation.file).read_text().count(mutation.source)
        assert count == 1, f"{mutation.file} holds {count} times: {mutation.source}"


def test_the_list_is_long_and_reaches_every_folder() -> None:
    folders = Counter(mutation.file.partition("/")[0] for mutation in MUTATIONS)
    assert len(set(MUTATIONS)) >= 40
    assert folders["process"] >= 40
    assert folders["likelihood"] >= 6
    assert folders["decode"] >= 15
