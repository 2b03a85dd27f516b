"""Runs the notebooks of docs/notebooks and keeps what they print.

python docs/notebooks.py [NAME...]

They run in a folder of their own, in a kernel of this Python, without a network.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent / "notebooks"


def ran(notebook: Any) -> Any:
    """The notebook with the outputs of a run from its first cell to its last; an error in a cell is one here."""
    with tempfile.TemporaryDirectory() as folder:
        here = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=900, kernel_name="python3", resources=here, coalesce_streams=True).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when it ran
    return notebook


def read(file: Path) -> Any:
    return nbformat.read(file, as_version=4)


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for file in sorted(FOLDER.glob("*.ipynb")):
        if file.stem in sys.argv[1:] or len(sys.argv) == 1:
            nbformat.write(ran(read(file)), file)


if __name__ == "__main__":
    main()
