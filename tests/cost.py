"""CPU seconds of tests, programs that they start included: `make test PROFILE=1`, or pytest's `--cost`.

Not the seconds of a clock, which grow with whatever else the machine does.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

LISTED = 30


def spent() -> float:
    """CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class Cost:
    """Adds what each phase of a test cost to its report, and what a worker cost in all to its output."""

    def __init__(self, config: pytest.Config) -> None:
        self.config, self.last = config, spent()
        self.of_test: dict[str, float] = defaultdict(float)
        self.of_worker: list[float] = []

    def pytest_collection_finish(self) -> None:
        self.last = spent()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self) -> Iterator[Any]:
        report = yield
        now = spent()
        report.cpu, self.last = now - self.last, now
        return report

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.of_test[report.nodeid] += report.cpu

    def pytest_sessionfinish(self) -> None:
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput["cpu"] = spent()

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self.of_worker.append(getattr(node, "workeroutput", {}).get("cpu", 0.0))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        total = sum(self.of_worker) or spent()
        terminalreporter.section("CPU seconds")
        terminalreporter.write_line(f"{total:7.1f}  in all, {total - sum(self.of_test.values()):.1f} outside of tests")
        for title, key in (
            ("by folder", lambda name: name.rpartition("/")[0]),
            ("by file", lambda name: name.partition("::")[0]),
            ("by test", lambda name: name),
        ):
            found: dict[str, float] = defaultdict(float)
            for name, seconds in self.of_test.items():
                found[key(name.partition("[")[0]) if title != "by test" else name] += seconds
            terminalreporter.write_line(title)
            for name, seconds in sorted(found.items(), key=lambda item: -item[1])[:LISTED]:
                terminalreporter.write_line(f"{seconds:7.1f}  {name}")
