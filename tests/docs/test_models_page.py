"""The Python in docs/models.md runs, for somebody who has a run."""

import re
from pathlib import Path

import undiffuse as ud

ROOT = Path(__file__).parents[2]


def test_the_python_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("one two three four five six\n" * 60)
    ud.train("text.txt", steps=2, overrides=["tokenizer.kind=byte", "model.width=32", "model.depth=1"])
    (block,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/models.md").read_text(), re.MULTILINE | re.DOTALL)
    space: dict = {}
    exec(compile(block, "models.md", "exec"), space)
    assert "text undiffuse" in capsys.readouterr().out
    assert space["model"].name == str(Path("runs/text"))
