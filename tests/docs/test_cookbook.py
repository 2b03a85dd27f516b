"""The cookbook's commands run one after the other, with less training, and its Python runs after them."""

import random
import re
import shlex
from pathlib import Path

import pytest

from undiffuse.cli.main import run

PAGE = (Path(__file__).parents[2] / "docs" / "guide" / "cookbook.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:`([\w.]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LESS = "--steps 5 --threads 1 tokenizer.size=300 model.width=32 model.depth=1 model.context=192"


@pytest.mark.slow
def test_every_entry_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    draw, words = random.Random(0), ["sun", "moon", "sea", "letter", "chair", "of", "the", "rises", "is", "in", "east"]
    lines = ["The " + " ".join(draw.choices(words, k=draw.randint(4, 9))) + "." for _ in range(60)]
    Path("notes.txt").write_text("\n\n".join(" ".join(lines[i : i + 5]) for i in range(0, 60, 5)))
    space: dict = {}
    commands = 0
    for name, kind, text in BLOCK.findall(PAGE):
        if name:
            Path(name).write_text(text, encoding="utf-8")
        elif kind == "console":
            for line in re.findall(r"^\$ undiffuse (.*)$", text, re.MULTILINE):
                assert run(shlex.split(line.replace("--minutes 2", LESS))) == 0, line
                commands += 1
        elif kind == "python":
            capsys.readouterr()
            exec(compile(text, "cookbook.md", "exec"), space)
            assert "False" not in capsys.readouterr().out
    assert commands == PAGE.count("$ undiffuse") > 8
