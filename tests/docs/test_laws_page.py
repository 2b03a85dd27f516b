"""docs/laws.md names laws that are checked and tests that exist, for each of T1 to T19."""

import re
from pathlib import Path

from undiffuse.exact.verify import all_laws

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| (T\d+) \| (.+) \| (.+) \| ?(.*) ?\|$", (ROOT / "docs" / "laws.md").read_text(), re.MULTILINE)


def test_every_claim_is_held_by_something():
    assert [name for name, *_ in ROWS] == [f"T{number}" for number in range(1, 20)]
    assert all(re.search("`[a-z-]+/[a-z0-9-]+`", laws) for _, _, laws, _ in ROWS)


def test_laws_and_tests_exist():
    known = {law.name for law in all_laws()}
    named = {name for _, _, laws, _ in ROWS for name in re.findall("`([^`]+)`", laws)}
    assert named <= known, sorted(named - known)
    for *_, tests in ROWS:
        for path in filter(None, tests.strip().split(", ")):
            assert (ROOT / path).is_file(), path


def test_every_golden_law_is_named():
    golden = {law.name for law in all_laws() if law.name.endswith("golden")}
    named = {name for _, _, laws, _ in ROWS for name in re.findall("`([^`]+)`", laws)}
    assert golden <= named, sorted(golden - named)
