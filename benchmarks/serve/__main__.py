"""The server under load, over real HTTP on this machine.

python -m benchmarks.serve load [--work DIR] [--seconds S] [--pool N] [--threads N]
python -m benchmarks.serve soak [--work DIR] [--seconds S] [--clients N] [--pool N] [--threads N]
python -m benchmarks.serve page

What was measured is kept in DIR: a command that was interrupted goes on where it was when it is given again. `--trial`
writes the results into DIR, in the place of benchmarks/results.
"""

import argparse
import tempfile
from pathlib import Path

from . import page, report
from .load import Kept, Run, offline, search
from .measure import Server
from .soak import soak


def load(arguments: argparse.Namespace) -> None:
    """All points of all systems, then all systems at the rate that one request at a time just stands."""
    work = arguments.work
    requests, expected, model = offline(work, arguments.pool, arguments.threads)
    kept = Kept(work / "load.jsonl")
    with Server(model, ["--threads", str(arguments.threads)], work / "server.log") as server:
        about = server.begin("ours")
        run = Run(server, work, kept, requests, expected, arguments.seconds)
        if run.bound > run.seconds / 4 and not arguments.trial:
            raise SystemExit(
                f"a point must last at least {4 * run.bound:.0f} s, or a queue has no time to grow: --seconds"
            )
        best = search(run)
        for name in best:
            run.point(name, best["alone"])
    report.load(run, best, about["rows"], arguments)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description=__doc__)
    parser.add_argument("what", choices=("load", "soak", "page"))
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir(), "undiffuse-load"))
    parser.add_argument("--seconds", type=float, default=0.0, help="of a point (35), or of the soak (600)")
    parser.add_argument("--pool", type=int, default=120)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--trial", action="store_true")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    arguments.seconds = arguments.seconds or {"load": 35.0, "soak": 600.0}.get(arguments.what, 0.0)
    {"load": load, "soak": soak, "page": lambda _: page.write()}[arguments.what](arguments)


if __name__ == "__main__":
    main()
