"""Tables of numbers that a recipe names by the path of a file."""

from pathlib import Path

import numpy as np

from ..errors import UserError
from ..json_text import parsed
from ..process.moves import numbers, written


def read_table(what: str, path: Path) -> tuple[str, ...]:
    """The rows of a .csv, .npy or .json file, each as numbers with commas between them. UserError if it holds none."""
    try:
        if path.suffix == ".npy":
            rows = np.load(path, allow_pickle=False).tolist()
        elif path.suffix == ".json":
            rows = parsed(path.read_text(encoding="utf-8-sig"))
        elif path.suffix == ".csv":
            rows = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
        else:
            raise UserError(f"{what} = {str(path)!r}: expected a file of numbers that ends in .csv, .npy or .json")
        return written(numbers(rows))
    except OSError as error:
        raise UserError(f"{what}: cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # not numbers, not JSON, or not UTF-8
        raise UserError(f"{what}: {path} is not a table of numbers: {error}") from error
