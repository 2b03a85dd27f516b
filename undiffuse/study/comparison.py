"""Recipes compared: what the cells of `undiffuse study processes` say of each recipe over its seeds.

Two errors are kept apart. Over seeds: the standard error of the mean of n ≥ 2 runs, which contains that of measuring
each run as far as runs are measured independently. Within a seed: the mean of the standard errors that the runs have
themselves, over draws of noise or over samples. One run has only the second, and what is shown is then marked.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..evaluate.infill import Accuracy

Cell = Mapping[str, Any]
ONE_SEED = "†"
EXACT, BOUND, NOT_MINIMIZED, ESTIMATE = "exact", "bound", "bound not minimized by training", "estimate, no bound"


@dataclass(frozen=True)
class Mean:
    """A number of each run by its seed, and the mean standard error within a run (None where there is none)."""

    by_seed: Mapping[int, float]
    within: float | None = None

    @classmethod
    def of(cls, runs: Iterable[tuple[int, Any, Any]]) -> "Mean | None":
        """From (seed, value, standard error). Runs without a finite value are left out; None if all are."""
        found = [(seed, value, error) for seed, value, error in runs if finite(value)]
        if not found:
            return None
        errors = [error for _, _, error in found if finite(error)]
        within = statistics.fmean(errors) if errors else None
        return cls({seed: float(value) for seed, value, _ in found}, within)

    @property
    def n(self) -> int:
        return len(self.by_seed)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.by_seed.values())

    @property
    def between(self) -> float | None:
        """Standard error of the mean over seeds; None for one seed."""
        return statistics.stdev(self.by_seed.values()) / math.sqrt(self.n) if self.n > 1 else None

    @property
    def error(self) -> float | None:
        """What ± shows: over seeds, and within the run where there is one seed."""
        return self.within if self.n == 1 else self.between

    def minus(self, other: "Mean") -> "Mean | None":
        """Differences by seed, over the seeds that both have."""
        return Mean.of(
            (seed, value - other.by_seed[seed], None) for seed, value in self.by_seed.items() if seed in other.by_seed
        )

    def show(self, digits: int = 3) -> str:
        mark = ONE_SEED if self.n == 1 else ""
        return f"{self.mean:.{digits}f}" + (f" ± {small(self.error, digits)}" if self.error is not None else "") + mark


@dataclass(frozen=True)
class Share:
    """Counts pooled over seeds, with a Wilson interval; `over` has the share of each seed.

    Seeds are asked the same questions, so the interval is one for these questions, and somewhat narrow for others.
    """

    pooled: Accuracy
    over: Mean

    @classmethod
    def of(cls, runs: Iterable[tuple[int, int, int]]) -> "Share | None":
        """From (seed, right, questions); None if nothing was asked."""
        asked = [run for run in runs if run[2] > 0]
        over = Mean.of((seed, right / count, None) for seed, right, count in asked)
        if over is None:
            return None
        return cls(Accuracy(sum(run[1] for run in asked), sum(run[2] for run in asked)), over)

    def show(self) -> str:
        low, high = self.pooled.interval
        return f"{100 * self.pooled.share:.1f} % ({100 * low:.1f} to {100 * high:.1f})" + (
            ONE_SEED if self.over.n == 1 else ""
        )


@dataclass(frozen=True)
class Sampling:
    """Generated text of one strategy and number of steps. `perplexity` is a geometric mean over seeds."""

    strategy: str
    steps: int | None
    nfe: Mean
    surprise: Mean
    perplexity: float
    entropy: Mean
    repetition: Mean


@dataclass(frozen=True)
class Correction:
    """What became of planted errors by one method. `net`: right tokens gained per planted error."""

    method: str
    share: float
    nfe: Mean
    repaired: Share
    moved: Share
    damaged: Share
    net: Mean


@dataclass(frozen=True, eq=False)
class System:
    """A recipe and its cells, by seed."""

    recipe: str
    cells: tuple[Cell, ...]

    @cached_property
    def bits(self) -> Mean | None:
        """Bits per byte of the held-out text; the errors within runs are over draws of noise."""
        found = [(cell["seed"], cell["likelihood"].get("bits_per_byte") or {}) for cell in self._with("likelihood")]
        return Mean.of((seed, bits.get("mean"), bits.get("stderr")) for seed, bits in found)

    @cached_property
    def kind(self) -> str:
        """What the bits per byte are: exact, a bound, a bound that training did not minimize, or none of these."""
        for cell in self._with("likelihood"):
            kind = cell["likelihood"].get("kind")
            if kind != "bound":
                return EXACT if kind == "exact" else ESTIMATE
            return BOUND if cell.get("training", {}).get("loss_is_bound", True) else NOT_MINIMIZED
        return ""

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What was noted of the likelihood."""
        return tuple(
            dict.fromkeys(c["likelihood"]["note"] for c in self._with("likelihood") if c["likelihood"].get("note"))
        )

    def likelihood(self, name: str) -> Mean | None:
        """A part of the bound, in bits per byte; None where the likelihood is exact."""
        return Mean.of((cell["seed"], cell["likelihood"].get(name), None) for cell in self._with("likelihood"))

    def training(self, name: str) -> Mean | None:
        return Mean.of((cell["seed"], cell["training"].get(name), None) for cell in self._with("training"))

    @cached_property
    def generation(self) -> tuple[Sampling, ...]:
        """By cost."""
        found = []
        for (strategy, steps), runs in self._lines(
            "generation", lambda line: (line.get("strategy", ""), line.get("steps"))
        ):
            nfe, surprise = _over(runs, "nfe"), _over(runs, "surprise", "error")
            logs = Mean.of((seed, _log(line.get("perplexity")), None) for seed, line in runs)
            entropy, repetition = _over(runs, "entropy"), _over(runs, "repetition")
            if nfe and surprise and logs and entropy and repetition:
                found.append(Sampling(strategy, steps, nfe, surprise, math.exp(logs.mean), entropy, repetition))
        return tuple(sorted(found, key=lambda each: (each.nfe.mean, each.strategy)))

    @cached_property
    def repair(self) -> tuple[Correction, ...]:
        """By the share of planted errors, then in the order of the cells."""
        found = []
        for (method, share), runs in self._lines("repair", lambda line: (line["method"], line["share"])):
            repaired, moved = (_share(runs, name, "planted") for name in ("repaired", "moved"))
            damaged, nfe = _share(runs, "damaged", "sound"), _over(runs, "nfe")
            net = Mean.of(
                (seed, (line["repaired"] - line["damaged"]) / line["planted"], None)
                for seed, line in runs
                if line["planted"]
            )
            if repaired and moved and damaged and nfe and net:
                found.append(Correction(method, share, nfe, repaired, moved, damaged, net))
        return tuple(sorted(found, key=lambda each: each.share))

    @cached_property
    def infill(self) -> Share | None:
        """Hidden single tokens that the best guess names."""
        return Share.of(
            (cell["seed"], cell["infill"]["correct"], cell["infill"]["count"]) for cell in self._with("infill")
        )

    @cached_property
    def tokenizer(self) -> tuple[tuple[str, Any], ...]:
        """What it reads the text in, as far as that is known."""
        return next((tuple(sorted(c["training"].get("tokenizer", {}).items())) for c in self._with("training")), ())

    @cached_property
    def real(self) -> Mapping[str, Any] | None:
        """The quality of the real text in its tokens, if its cells have that."""
        return next((cell["text"] for cell in self._with("text")), None)

    def curve(self, against: str) -> list[tuple[float, float]]:
        """Validation in bits per byte against `steps` or `seconds`: the mean over seeds, where all of them have been.

        Between its own validations a seed is interpolated on a straight line.
        """
        column = ("steps", "seconds").index(against)
        runs = []
        for cell in self._with("training"):
            points = sorted((p[column], p[2]) for p in cell["training"].get("curve") or () if finite(p[2]))
            if points:
                runs.append(points)
        if not runs:
            return []
        first, last = max(points[0][0] for points in runs), min(points[-1][0] for points in runs)
        places = sorted({x for points in runs for x, _ in points if first <= x <= last})
        lines = [np.interp(places, [x for x, _ in points], [y for _, y in points]) for points in runs]
        return list(zip(map(float, places), np.mean(lines, axis=0).tolist(), strict=True)) if places else []

    @cached_property
    def refused(self) -> tuple[tuple[str, str], ...]:
        """(part, reason) of what this system does not have, each once; a number that is not finite is named too."""
        found = [(part, str(reason)) for cell in self.cells for part, reason in (cell.get("refused") or {}).items()]
        for cell in self._with("likelihood"):
            if not finite((cell["likelihood"].get("bits_per_byte") or {}).get("mean")):
                found.append(("likelihood", f"seed {cell['seed']} has no finite value, and is not in the mean"))
        return tuple(dict.fromkeys(found))

    def _with(self, part: str) -> list[Cell]:
        return [cell for cell in self.cells if cell.get(part)]

    def _lines(self, part: str, key: Callable[[Cell], Any]) -> Iterable[tuple[Any, list[tuple[int, Cell]]]]:
        """(seed, line) of all cells, together where the key is the same."""
        found: dict[Any, list[tuple[int, Cell]]] = {}
        for cell in self._with(part):
            for line in cell[part]:
                found.setdefault(key(line), []).append((cell["seed"], line))
        return found.items()


def systems(cells: Sequence[Cell]) -> list[System]:
    """Recipes by their bits per byte; those without any last, by name."""
    runs: dict[str, dict[int, Cell]] = {}
    for cell in cells:
        runs.setdefault(cell["recipe"], {})[cell["seed"]] = cell
    found = [System(recipe, tuple(each for _, each in sorted(by_seed.items()))) for recipe, by_seed in runs.items()]
    return sorted(found, key=lambda each: (each.bits.mean if each.bits else math.inf, each.recipe))


def other_tokens(found: Sequence[System]) -> list[str]:
    """Recipes that read the text in other tokens than most."""
    known = [each.tokenizer for each in found if each.tokenizer]
    return [each.recipe for each in found if each.tokenizer and each.tokenizer != statistics.mode(known)]


def finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def small(value: float, digits: int) -> str:
    """An error that rounds to nothing is not shown as nothing."""
    least = 10.0**-digits
    return f"<{least:.{digits}f}" if 0 < value < least / 2 else f"{value:.{digits}f}"


def _over(runs: Sequence[tuple[int, Cell]], name: str, error: str = "") -> Mean | None:
    return Mean.of((seed, line.get(name), line.get(error)) for seed, line in runs)


def _share(runs: Sequence[tuple[int, Cell]], right: str, count: str) -> Share | None:
    return Share.of((seed, line.get(right, 0), line[count]) for seed, line in runs)


def _log(value: Any) -> float | None:
    return math.log(value) if finite(value) and value > 0 else None
