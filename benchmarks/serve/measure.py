"""One server, one run of the load generator against it, and what came of it."""

import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from .mix import Asked, Expected

ROOT = Path(__file__).parents[2]


class Server:
    """`undiffuse serve` with meters, from `with` to its end."""

    def __init__(self, model: Path, options: Sequence[str], log: Path) -> None:
        self._command = [sys.executable, "-m", "benchmarks.serve.server", str(model), "--port", "0", *options]
        self._log = log
        self.address = ""

    def __enter__(self) -> "Server":
        with self._log.open("w") as log:
            self._process = subprocess.Popen(self._command, cwd=ROOT, stderr=log, stdout=log)
        until = time.monotonic() + 120
        while True:
            found = re.search(r"at (http://\S+)", self._log.read_text())
            if found and self._ready(found[1]):
                self.address = found[1]
                return self
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the server did not start:\n{self._log.read_text()}")
            time.sleep(0.1)

    def _ready(self, address: str) -> bool:
        try:
            return httpx.get(f"{address}/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(60)

    def begin(self, system: str) -> dict[str, Any]:
        """Have a system schedule from now on, and the meters begin."""
        return dict(httpx.post(f"{self.address}/load/{system}", timeout=120).raise_for_status().json())

    def wait(self) -> None:
        """Until nothing is left running; RuntimeError after a minute."""
        until = time.monotonic() + 60
        while any(httpx.get(f"{self.address}/load/queued").json()):
            if time.monotonic() > until:
                raise RuntimeError("jobs are left in the engine after their clients are gone")
            time.sleep(0.1)

    def memory(self) -> int:
        """Bytes of the server that are in memory."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * resource.getpagesize()

    def meters(self) -> dict[str, Any]:
        """What was measured since."""
        return dict(httpx.get(f"{self.address}/load", timeout=60).raise_for_status().json())


def generated(address: str, requests: Sequence[Asked], work: Path, **plan: Any) -> dict[str, Any]:
    """What the load generator noted, which runs in a process of its own."""
    asked = [(each.path, each.body) for each in requests]
    there, back = work / "plan.json", work / "records.json"
    there.write_text(json.dumps({"address": address, "requests": asked, **plan}), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "benchmarks.serve.client", str(there), str(back)], cwd=ROOT, check=True)
    return dict(json.loads(back.read_text(encoding="utf-8")))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else float("nan")


def waits(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Seconds from the planned arrival to the first text that stays, and to the end."""
    found = {}
    for name, key in (("first", "first"), ("all", "ended")):
        values = [record[key] - record["planned"] for record in records]
        found |= {f"{name} p{round(100 * share)}": percentile(values, share) for share in (0.5, 0.95, 0.99)}
    return found


@dataclass(frozen=True)
class Judged:
    """How many answers are not what the library gives alone, were lost, or came twice."""

    wrong: list[tuple[int, str]]
    lost: int
    twice: int


def judge(records: Sequence[Mapping[str, Any]], expected: Sequence[Expected]) -> Judged:
    """Answers of clients that stayed, beside those of the library."""
    stayed = [record for record in records if record["fate"] is None]
    lost = [record for record in stayed if record.get("text") is None]
    wrong = [
        (record["which"], record["text"])
        for record in stayed
        if record.get("text") is not None and record["text"] != expected[record["which"]].text
    ]
    return Judged(wrong, len(lost), sum(record["finishes"] > 1 for record in records))


def where(meters: Mapping[str, Any]) -> dict[str, float]:
    """Shares of the engine's busy time, and of one core for the event loop."""
    parts = {name: meters[name] for name in ("network", "step", "verbs", "tick", "telling")}
    parts["tick"] -= parts["step"] + parts["verbs"] + parts["telling"]
    busy = max(sum(parts.values()), 1e-9)
    return {
        "network": parts["network"] / busy,
        "decoding": parts["step"] / busy,
        "verbs": parts["verbs"] / busy,
        "scheduler": parts["tick"] / busy,
        "telling": parts["telling"] / busy,
        "busy": busy / meters["wall"],
        "event loop": meters["loop_cpu"] / meters["wall"],
        "json": meters["json"] / meters["wall"],
    }
