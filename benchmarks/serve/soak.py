"""Ten minutes of many clients, some of which vanish or cancel: nothing wrong, lost or twice, and memory that stays."""

import argparse
import threading
import time
from dataclasses import asdict
from typing import Any

from . import report
from .load import offline
from .measure import Server, generated, judge, percentile, waits, where

LOOK = 5.0
"""Seconds between two looks at the memory."""


def slope(points: list[tuple[float, float]]) -> float:
    """Least squares, in units of the second per unit of the first."""
    at, value = zip(*points, strict=True)
    mean_at, mean = sum(at) / len(at), sum(value) / len(value)
    across = sum((x - mean_at) ** 2 for x in at)
    return sum((x - mean_at) * (y - mean) for x, y in points) / across if across else 0.0


def soak(arguments: argparse.Namespace) -> None:
    """One run of the closed loop, and the memory of the server on the way."""
    work = arguments.work
    requests, expected, model = offline(work, arguments.pool, arguments.threads)
    memory: list[tuple[float, float]] = []
    with Server(model, ["--threads", str(arguments.threads)], work / "soak.log") as server:
        about = server.begin("ours")
        began, over = time.monotonic(), threading.Event()

        def look() -> None:
            while not over.wait(LOOK):
                memory.append(((time.monotonic() - began) / 60, server.memory() / 1e6))

        looking = threading.Thread(target=look)
        looking.start()
        found = generated(server.address, requests, work, clients=arguments.clients, seconds=arguments.seconds)
        over.set()
        looking.join()
        server.wait()
        meters = server.meters()
    records = found["records"]
    judged, fates = judge(records, expected), [record["fate"] for record in records]
    settled = [point for point in memory if point[0] * 60 > arguments.seconds / 4] or memory
    line: dict[str, Any] = {
        "seconds": arguments.seconds,
        "clients": arguments.clients,
        "rows": about["rows"],
        "requests": len(records),
        "vanished": fates.count("vanish"),
        "cancelled": fates.count("cancelled"),
        **asdict(judged),
        "refused": sum(record.get("status") not in (200, 0) for record in records),
        "jobs": meters["ended"],
        "queued after": meters["queued"],
        **waits([record for record in records if record["fate"] is None]),
        "late p99": percentile(meters["late"], 0.99),
        "late most": max(meters["late"]),
        "jobs per tick": meters["jobs_per_tick"],
        "where": where(meters),
        "memory": memory,
        "MB per minute": slope(settled),
    }
    report.soak(line, arguments)
