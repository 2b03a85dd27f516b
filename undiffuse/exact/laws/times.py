"""Draws of time: uniform for every row, and more even over a batch than independent ones."""

import importlib
import pkgutil

import torch
from torch import Tensor

from ...objective import times as times_package
from ...objective.times.estimator import Estimator
from ...objective.times.uniform import Uniform as IndependentTimes
from ...randomness import Draws
from ..instruments import even
from ..law import Law
from ..scoring import texts_of, three
from ..surprise import surprise


def time_draws() -> dict[str, Estimator]:
    """Every way of drawing times, from the files of its package."""
    found = {}
    for module in pkgutil.iter_modules(times_package.__path__):
        members = vars(importlib.import_module(f"{times_package.__name__}.{module.name}")).values()
        for cls in members:
            own = isinstance(cls, type) and cls.__module__.endswith(f".{module.name}")
            if own and issubclass(cls, Estimator) and cls is not Estimator:
                found[module.name.replace("_", "-")] = cls()
    return found


def quantiles(times: Estimator) -> Tensor:
    """Levels of 16 rows in 500 batches."""
    batch = texts_of(three(), 16)
    cells = times.cells(batch, 16, None)
    return torch.stack([times.quantiles(cells, Draws.seeded(1).at(n))[:, 0] for n in range(500)])


def level_error(times: Estimator) -> float:
    """Every row's level is uniform over all batches: no row owns a part of time."""
    return max(surprise((levels * 8).long(), even(8)) for levels in quantiles(times).T)


def variance_error(times: Estimator) -> float:
    """The batch's mean of a smooth curve varies less than a tenth of what it does for independent levels."""
    found, independent = (
        (t * (1 - t) + t**3).mean(-1).var() for t in (quantiles(times), quantiles(IndependentTimes()))
    )
    return (found / independent).item()


def dependent() -> dict[str, Estimator]:
    return {name: times for name, times in time_draws().items() if not isinstance(times, IndependentTimes)}


LAWS = (
    Law("estimator/levels", time_draws, level_error, 6.0),
    Law("estimator/less-variance", dependent, variance_error, 0.1),
)
