"""The result files."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..report import RESULTS, machine
from .load import FACTOR, SLOWER, Run
from .mix import SHARES, SIZE


def load(run: Run, best: Mapping[str, float], rows: int, arguments: argparse.Namespace) -> None:
    """serve_load.json: all points, and which is the best of each system."""
    points = [line for line in run.kept.lines if line["kind"] == "point"]
    times = sorted(each.seconds for each in run.expected)
    found = {
        **_about("load", arguments),
        "rows": rows,
        "seconds": arguments.seconds,
        "bound": run.bound,
        "slower": SLOWER,
        "factor": FACTOR,
        "alone": {"per second": run.pace, "mean": sum(times) / len(times), "p95": run.bound / SLOWER},
        "best": dict(best),
        "points": points,
    }
    _write("serve_load", found, arguments)


def soak(line: Mapping[str, Any], arguments: argparse.Namespace) -> None:
    """serve_soak.json"""
    _write("serve_soak", {**_about("soak", arguments), **line}, arguments)


def _about(what: str, arguments: argparse.Namespace) -> dict[str, Any]:
    command = f"python -m benchmarks.serve {what} --pool {arguments.pool} --threads {arguments.threads}"
    return {
        "command": f"{command} --seconds {arguments.seconds:g}",
        "machine": machine(arguments.threads),
        "network": SIZE,
        "mix": dict(SHARES),
        "pool": arguments.pool,
    }


def _write(name: str, found: Mapping[str, Any], arguments: argparse.Namespace) -> None:
    place = arguments.work if arguments.trial else RESULTS
    (Path(place) / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"written: {Path(place) / name}.json")
