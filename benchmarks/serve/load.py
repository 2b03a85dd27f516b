"""Goodput: for each way to schedule the highest rate of arrivals at which p95 of completion stays below one bound."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .measure import Server, generated, judge, percentile, waits, where
from .mix import Asked, Expected, alone, arrivals, pool, weights
from .policies import SYSTEMS

SLOWER = 5.0
"""The bound on p95 of completion: so many times that of the same requests alone, without any waiting."""
FACTOR = 1.25
"""Between two rates; the search goes by two of them, then halves down to half of one."""
FIRST: Mapping[str, int] = {"ours": 5, "static": 3, "equal": 3, "alone": -1}
"""Where a search begins, in steps of the factor from the pace of the library's own loop."""


class Kept:
    """What was measured so far, a line each in a file: a run that was interrupted goes on where it was."""

    def __init__(self, place: Path) -> None:
        self.place = place
        text = place.read_text(encoding="utf-8") if place.exists() else ""
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]

    def add(self, line: dict[str, Any]) -> dict[str, Any]:
        with self.place.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.lines.append(line)
        return line

    def find(self, **named: Any) -> dict[str, Any] | None:
        return next((each for each in self.lines if all(each.get(key) == value for key, value in named.items())), None)


def offline(work: Path, count: int, threads: int) -> tuple[list[Asked], list[Expected], Path]:
    """The pool, its answers alone (kept in a file), and the model's directory."""
    from undiffuse.language_model import load

    place = weights(work)
    requests, kept = pool(count), work / f"alone-{count}-{threads}.json"
    if kept.exists():
        return requests, [Expected(*each) for each in json.loads(kept.read_text(encoding="utf-8"))], place
    torch.set_num_threads(threads)
    found = alone(load(place), requests)
    kept.write_text(json.dumps([(each.text, each.seconds) for each in found]), encoding="utf-8")
    return requests, found, place


class Run:
    """Points of one server: a system at a rate, measured once."""

    def __init__(
        self, server: Server, work: Path, kept: Kept, requests: list[Asked], expected: list[Expected], seconds: float
    ) -> None:
        self.server, self.work, self.kept, self.seconds = server, work, kept, seconds
        self.requests, self.expected = requests, expected
        times = [each.seconds for each in expected]
        self.pace = len(times) / sum(times)
        self.bound = SLOWER * percentile(times, 0.95)

    def point(self, system: str, step: float) -> dict[str, Any]:
        """A system at a rate, `step` factors above the pace of one request after the other."""
        known = self.kept.find(kind="point", system=system, step=step)
        if known is not None:
            return known
        rate = self.pace * FACTOR**step
        self.server.begin(system)
        plan = arrivals(len(self.requests), rate, self.seconds)
        began = time.monotonic()
        found = generated(self.server.address, self.requests, self.work, arrivals=plan, bound=self.bound)
        meters = self.server.meters()
        records = found["records"]
        judged = judge(records if not found["stopped"] else [r for r in records if r.get("text")], self.expected)
        line = {
            "kind": "point",
            "system": system,
            "step": step,
            "rate": rate,
            "requests": len(plan),
            "answered": len(records),
            "stopped": found["stopped"],
            "in time": sum(record["ended"] - record["planned"] <= self.bound for record in records) / max(len(plan), 1),
            **waits(records),
            **asdict(judged),
            "jobs done": meters["ended"].get("done", 0),
            "jobs per tick": meters["jobs_per_tick"],
            "late p99": percentile(meters["late"], 0.99),
            "late most": max(meters["late"], default=0.0),
            "where": where(meters),
            "took": time.monotonic() - began,
        }
        line["passed"] = not found["stopped"] and line["all p95"] <= self.bound
        print(
            f"{system:7} {rate:6.2f}/s  {len(plan):4} requests  p95 {line['all p95']:.2f} s of {self.bound:.2f}  "
            f"{'passed' if line['passed'] else 'missed'}  wrong {len(judged.wrong)} lost {judged.lost}  "
            f"{line['jobs per tick']:.1f} jobs a tick  scheduler {line['where']['scheduler']:.3f}",
            flush=True,
        )
        return self.kept.add(line)


def search(run: Run, systems: Sequence[str] = SYSTEMS) -> dict[str, float]:
    """The highest step that each system passes, to half a factor; the systems take turns."""
    ranges: dict[str, tuple[float | None, float | None]] = dict.fromkeys(systems, (None, None))
    while left := [name for name in systems if not _narrow(*ranges[name])]:
        for name in left:
            low, high = ranges[name]
            step = _next(name, low, high)
            passed = run.point(name, step)["passed"]
            ranges[name] = (step, high) if passed else (low, step)
    return {name: low for name, (low, _) in ranges.items() if low is not None}


def _narrow(low: float | None, high: float | None) -> bool:
    return low is not None and high is not None and high - low <= 0.5


def _next(name: str, low: float | None, high: float | None) -> float:
    if low is not None and high is not None:
        return (low + high) / 2
    if low is None and high is None:
        return float(FIRST[name])
    return low + 2 if low is not None else high - 2  # type: ignore[operator]
