"""Proof that a refactoring changed nothing: the working tree beside an earlier commit, on this machine and one thread.

python -m benchmarks.same [BASE] [--only laws,mutations,weights,golden,speed] [--recipes a,b] [--json FILE]
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

from ..report import machine
from . import compare, speed
from .compare import Report
from .sides import ROOT, Side, git, worktree

SMALL = ("model.width=64", "model.depth=2", "training.validations=1", "training.windows=2", "training.draws=2")
"""Overrides of every recipe."""


def laws(base: Side, here: Side, asked: argparse.Namespace) -> Report:
    return compare.laws(*(_answer(side, "laws", patterns=asked.law) for side in (base, here)))


def mutations(base: Side, here: Side, asked: argparse.Namespace) -> Report:
    lists = [_answer(side, "listed") for side in (base, here)]
    return compare.mutations(*lists, _answer(here, "caught"))


def _answer(side: Side, probe: str, **request: Any) -> Any:
    """The record of a probe that has one item; it must not be an error."""
    record = side.answers(probe, {"all": request})["all"]
    if "error" in record:
        raise RuntimeError(f"the probe {probe} failed in {side.root}: {record['error']}")
    return record


def weights(base: Side, here: Side, asked: argparse.Namespace) -> Report:
    found = []
    for side in (base, here):
        names = sorted(file.stem for file in side.root.glob("undiffuse/recipes/*.toml"))
        chosen = [name for name in names if not asked.recipes or name in asked.recipes]
        items = {name: {"recipe": name, "steps": asked.steps, "overrides": SMALL} for name in chosen}
        found.append(side.answers("weights", items))
    if not found[0]:
        raise SystemExit(f"there is no recipe {', '.join(asked.recipes)}")
    return compare.weights(*found)


def golden(base: Side, here: Side, asked: argparse.Namespace) -> Report:
    """The recorded prompts and settings are read here, and both sides are asked the same."""
    sys.path.insert(0, str(ROOT / "tests" / "language_model"))
    import recorded  # type: ignore[import-not-found]

    items = {}
    for family in recorded.OPTIONS:
        if not (base.root / "tests" / "golden" / family).is_dir():  # it came later
            continue
        about = recorded.golden(family)
        for run in recorded.runs(family):
            items[f"{family}/{run}"] = {
                "checkpoint": f"tests/golden/{family}/checkpoint",
                "loading": recorded.NAMELESS.get(family, {}),
                "prompts": [prompt.tolist() for prompt in about.recorded(run, "prompt_ids")],
                "options": recorded.OPTIONS[family](about.about["decode_runs"][run]["settings"]),
            }
    return compare.golden(*(side.answers("golden", items) for side in (base, here)))


def step_time(base: Side, here: Side, asked: argparse.Namespace) -> Report:
    return speed.judged(speed.measured(base, here, asked.rounds))


PROBES: dict[str, Callable[[Side, Side, argparse.Namespace], Report]] = {
    "laws": laws,
    "mutations": mutations,
    "weights": weights,
    "golden": golden,
    "speed": step_time,
}


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    try:
        commit = git("rev-parse", "--verify", "--quiet", f"{asked.base}^{{commit}}")
    except CalledProcessError:
        print(f"{asked.base} is no commit of this repository", file=sys.stderr)
        return 2
    reports = []
    with worktree(commit) as path:
        base, here = Side(path, fixed=True), Side(ROOT, fixed=False)
        print(f"base {git('log', '-1', '--format=%h %s', commit)}\nhere {here.commit or 'with changes'}", flush=True)
        for name in asked.only:
            began = time.monotonic()
            report = PROBES[name](base, here, asked)
            show(report, time.monotonic() - began)
            reports.append(asdict(report))
    if asked.json:
        result = {"base": commit, "machine": machine(1), "reports": reports}
        asked.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return int(any(report["failures"] for report in reports))


def show(report: Report, seconds: float) -> None:
    """A line, and one below it for each difference, the first of them where there are many."""
    verdict = "DIFFERENT" if report.failures else "same"
    print(f"{report.probe:10} {verdict:10} {report.equal}, {seconds:.0f} s")
    for mark, lines in (("!", report.failures), ("·", report.notes)):
        for line in lines[:40]:
            print(f"  {mark} {line}")
        if len(lines) > 40:
            print(f"  {mark} and {len(lines) - 40} more: --json FILE has them all")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.same", description=__doc__.partition("\n")[0])
    parser.add_argument("base", metavar="BASE", nargs="?", default="HEAD~1", help="a commit (default: HEAD~1)")
    several = partial(_several, tuple(PROBES))
    parser.add_argument("--only", type=several, default=tuple(PROBES), help=f"some of {','.join(PROBES)}")
    parser.add_argument("--law", type=lambda text: [text], default=[], metavar="PATTERN", help="laws as verify selects")
    parser.add_argument("--recipes", type=lambda text: text.split(","), default=[], help="names, with commas")
    parser.add_argument("--steps", type=int, default=50, help="training steps of every recipe (default: 50)")
    parser.add_argument("--rounds", type=_rounds, default=30, help="of measured bursts of each side (default: 30)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all differences there")
    return parser


def _several(known: Sequence[str], text: str) -> list[str]:
    names = text.split(",")
    wrong = [name for name in names if name not in known]
    if wrong:
        raise argparse.ArgumentTypeError(f"{', '.join(wrong)}: there are {', '.join(known)}")
    return names


def _rounds(text: str) -> int:
    if int(text) < 2:
        raise argparse.ArgumentTypeError("an interval needs two rounds or more")
    return int(text)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the worktree is removed then, too
    sys.exit(main())
