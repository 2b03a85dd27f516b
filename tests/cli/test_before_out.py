"""Everything is validated before the directory of a run exists, and names of files are the bytes that they have."""

import json
import os
import re
import subprocess
import sys

import pytest

from undiffuse.cli.main import run
from undiffuse.durable import write_json
from undiffuse.training.recipe import resolve

TEXT = b"a text that is long enough to be learned from, whatever comes of it in the end\n" * 20


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seed", "18446744073709551616"], "the seed must lie between 0 and 18446744073709551615"),
        (["--seed", "-1"], "the seed must lie between 0"),
        (["optimizer.lr=-1"], r"optimizer\.lr must be 0 or more, not -1"),
        (["optimizer.lr=nan"], r"optimizer\.lr must be a finite number, not nan"),
        (["optimizer.momentum=1.5"], r"optimizer\.momentum must lie in \[0, 1\), not 1\.5"),
        (["optimizer.weight_decay=-0.1"], r"optimizer\.weight_decay must be 0 or more"),
        (["optimizer=adamw", "optimizer.beta2=1.0"], r"optimizer\.beta2 must lie in \[0, 1\)"),
        (["process.schedule=geometric", "process.schedule.sigma_max=inf"], "sigma_max must be a finite number"),
        (["--recipe", "d3pm-absorb", "objective.auxiliary=inf"], "auxiliary must be a finite number, not inf"),
        (["--recipe", "duo-simple", "objective.reverse=nan"], "reverse must be a finite number, not nan"),
        (["--recipe", "duo", "objective.top=0"], "at least 1, not 0"),
        (["model.rope_base=0.0"], "rope_base must be a positive number, not 0.0"),
        (["model.norm_eps=-1.0"], "norm_eps must be 0 or more, not -1.0"),
        (["training.rows=4", "training.rows=8"], r"training\.rows is given twice"),
    ],
)
def test_a_refused_command_leaves_no_directory(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_bytes(TEXT)
    assert run(["train", "a.txt", "--out", "made", "--steps", "1", *arguments]) == 2
    assert re.search(said, capsys.readouterr().err)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt"]


def test_names_that_are_not_utf8_round_trip(tmp_path):
    name = os.fsdecode(b"n\xff.txt")
    write_json(tmp_path / "x.json", {"files": [name]})
    assert json.loads((tmp_path / "x.json").read_text(encoding="utf-8")) == {"files": [name]}


def test_kind_and_numbers_of_experts_together():
    layer = resolve(None, ["model.feed_forward=experts", "model.feed_forward.experts=3"]).configuration.model
    assert layer["feed_forward"].experts == 3


def test_output_is_utf8_whatever_the_environment_says():
    code = "import sys; sys.argv = ['undiffuse', '--help']; from undiffuse.cli import main as m; \
m.run = lambda a: print('Größe 漢字'); m.main()"
    env = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=False)
    assert done.stdout.decode("utf-8") == "Größe 漢字\n"
