"""Random cases at the doors: whatever is asked for, no exception but a UserError leaves the house."""

from collections.abc import Callable

import numpy as np
import torch

from undiffuse.errors import UserError

CASES = 1000
ODD = (
    *(None, True, False, 0, 1, -1, 2, 3, 17, 1 << 70, 0.0, -0.0, 0.5, 1.0, -1.5, 1e-40, 1e300),
    *(
        float("nan"),
        float("inf"),
        -float("inf"),
        "",
        "a",
        "3",
        "nan",
        "\ud800",
        b"x",
        1j,
        [],
        [1],
        {},
        {"kind": "mask"},
    ),
    *((), np.int64(2), np.float32(0.5), np.array([1, 2]), torch.tensor(2), torch.tensor([0.5]), object, object()),
)


def taken(trial: Callable[[int], None]) -> int:
    """How many cases were taken; fails with the seed where something other than a UserError leaves."""
    count = 0
    for seed in range(CASES):
        try:
            trial(seed)
            count += 1
        except UserError:
            continue
        except Exception as error:
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    return count
