"""The Python of the page on public checkpoints runs from the root of the repository."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_python_of_the_page_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/checkpoints.md").read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    exec(compile(blocks[0], "checkpoints.md", "exec"), {})
    shown = capsys.readouterr().out
    assert shown.startswith("torch.Size([1, 6, 256])")


def test_the_cost_of_number_formats_is_that_of_the_result_file():
    page = (ROOT / "docs/checkpoints.md").read_text()
    rows = json.loads((ROOT / "benchmarks/results/number_formats.json").read_text())["rows"]
    for row in rows:
        cells = next(line for line in page.splitlines() if line.startswith(f"| {row['weights in']} |")).split("|")
        assert float(cells[2]) == round(row["MB"])
        assert float(cells[3].split("±")[0]) == float(row["KL, nats at a position"].split("±")[0])
        assert float(cells[4].replace("%", "")) == float(row["same best token"].replace("%", ""))
        for cell, count in zip(cells[5:8], (1, 32, 256), strict=True):
            assert float(cell) == round(row[f"rows/s, {count} at once"])
    costs = ", ".join(f"{row['nats per token']:.3f}" for row in rows[:2]) + f" and {rows[2]['nats per token']:.3f}"
    assert costs in page
