"""The scripts beside the package, on the tiny model of the command-line tests."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.xdist_group("tiny command-line model")


@pytest.fixture
def script(monkeypatch):
    def load(path: str, *arguments: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        monkeypatch.setattr(sys, "argv", [path, *arguments])
        spec.loader.exec_module(module)
        return module

    return load


@pytest.mark.slow
def test_strategies_are_compared(script, model, capsys, monkeypatch):
    module = script("examples/strategies.py", str(model), "--samples", "2")
    monkeypatch.setattr(module, "CANDIDATES", [*module.CANDIDATES[:2], ("left-to-right", {"temperature": 1.0})])
    module.main()
    rows = {line[:44].strip(): line[44:].split() for line in capsys.readouterr().out.splitlines()[1:]}
    assert len(rows) == len(module.CANDIDATES) + 1
    for fluency, coverage, total, *_ in rows.values():
        assert float(total) == pytest.approx(float(fluency) + float(coverage), abs=0.002)
    assert float(rows["left-to-right temperature=1.0"][3]) == 1.0, "a token for each evaluation"


def test_the_picture_shows_three_moments(script, model, tmp_path, monkeypatch):
    module = script("docs/picture.py", str(model))
    monkeypatch.setattr(module, "PICTURE", tmp_path / "watch.svg")
    monkeypatch.setattr(module, "TEXT", "ab [MASK:6] cd")
    module.main()
    drawn = (tmp_path / "watch.svg").read_text()
    assert drawn.count("step&#160;") == len(module.MOMENTS)
    assert "░" in drawn
