"""The notebooks run from their first cell to their last, and print what they print in the docs."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "notebooks"
NAMES = sorted(file.stem for file in FOLDER.glob("*.ipynb"))
TRAINED = "trained"
"""The tag of cells that train, or ask what was trained: here there are fewer steps, so these print something else."""


@pytest.fixture
def notebooks() -> ModuleType:
    pytest.importorskip("nbclient")  # of the extra `dev`
    spec = importlib.util.spec_from_file_location("notebooks", FOLDER.parent / "notebooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shown(cell: Any) -> list[Any]:
    """What a cell printed and gave."""
    return [output.get("text") or output["data"] for output in cell.outputs]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_prints_what_it_shows(name, notebooks):
    notebook = notebooks.read(FOLDER / f"{name}.ipynb")
    before = [shown(cell) if cell.cell_type == "code" else [] for cell in notebook.cells]
    for cell in notebook.cells:
        if TRAINED in cell.metadata.get("tags", ()):
            cell.source = re.sub(r"steps=\d+", "steps=3", cell.source)
    after = notebooks.ran(notebook)
    for cell, said in zip(after.cells, before, strict=True):
        if cell.cell_type == "code" and TRAINED not in cell.metadata.get("tags", ()):
            assert shown(cell) == said, cell.source


def test_both_notebooks_were_run_to_their_end(notebooks):
    assert NAMES == ["exact", "first"]
    for name in NAMES:
        cells = [cell for cell in notebooks.read(FOLDER / f"{name}.ipynb").cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)
        assert not any("/tmp" in str(output) for cell in cells for output in cell.outputs)
