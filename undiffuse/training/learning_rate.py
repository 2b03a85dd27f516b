"""The learning rate over a run: a short rise, a plateau, and a linear fall to zero at the end of the budget."""

from collections.abc import Sequence


def factor(step: int, ends: Sequence[int], warmup: float, decay: float) -> float:
    """What the learning rate is multiplied by in step `step` (counted from 0), in (0, 1].

    `ends` are the steps at which the run, and each later extension of it, was planned to end, ascending. `warmup` and
    `decay` are shares of the steps between two ends. Only the first of these stretches warms up: an extension starts
    at the full rate, because the optimizer's moments are there already, and falls to zero anew.
    """
    start = max((end for end in ends if end <= step), default=0)
    length = min(end for end in ends if end > step) - start
    done = step - start
    rise = warmup * length if start == 0 else 0.0
    fall = decay * length
    return min(1.0, (done + 1) / (rise + 1), (length - done) / (fall + 1))
