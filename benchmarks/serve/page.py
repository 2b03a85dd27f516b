"""Writes docs/serve_load.md from the result files; a test checks that the page is up to date."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..report import RESULTS, markdown

PAGE = Path(__file__).parents[2] / "docs" / "serve_load.md"
NAMES = {
    "ours": "continuous, by steps (`undiffuse serve`)",
    "static": "static batches",
    "equal": "equal steps only",
    "alone": "one request at a time",
}
HEAD = """# The server under load

This page is written by `python -m benchmarks.serve page` from the result files of `python -m benchmarks.serve load` and
`… soak`, which send requests over HTTP to a real `undiffuse serve` on the same machine. Times compare within one table
and with nothing else.

**What is asked.** {mix}.
Every request that streams decodes blocks of 8 tokens with the cache `dual`, as one would on a
processor, so most steps run 4 to 16 rows of the network. That is where batches pay on a processor: a pass over few rows
spends its time on reading the weights, which a batch does once. Passes over a hundred rows are bound by arithmetic,
and no scheduler makes them cheaper. Fills ask for their best answer alone (`top` 1), since alternatives take passes
that are not batched. The mix was chosen so after measuring: with longer texts, without a cache or with the default
`top` a batch saves less than half of the processor's time, whoever schedules it. The network has 12 million weights,
random ones (speed does not depend on them), in float32.

**How.** The load generator is a process of its own. Arrivals are a Poisson process with a fixed seed: every system
gets the same list, with the clock scaled to the rate. It does not wait for answers (open loop). All systems run in one
server, on the same engine, and take turns; they differ only in which requests take the next step.

- *one request at a time*: in the order of arrival.
- *static batches*: all who wait, within the budget of rows; nobody joins before the last has ended. Answers leave as
  they are finished.
- *equal steps only*: requests at the same step share a pass; the largest such set goes, or whoever waited {age:g} s.

Every answer is compared with the one that the library gives alone for the same seed, in float32.
"""
GOODPUT = """## Goodput

The highest rate of arrivals at which 95 % of the requests end within {bound:.2f} s: {slower:g} times the p95 of the
same requests alone, without any waiting ({p95:.2f} s). The first rate that was missed stands beside it; a system's
limit lies between the two. The library's own loop, one request after the other and no server, ends {pace:.2f} a second.
"""
SAME = """## At the same rate

All systems at {rate:.2f} requests a second, the most that one request at a time stands. Seconds from the planned
arrival to the first text that stays (of a fill, to its answer), and to the end.
"""
OWN = """## Each at its own limit

"""
WHERE = """## Where the time goes

Shares of the busy time of the engine's thread at each system's limit: within the network; within a step but outside
the network (choosing tokens, the canvas, constraints); the verbs (reading what is asked, assembling answers); the
scheduler (admission, whose turn, joining and leaving batches); and making of a canvas what a client is told. `event
loop` and `JSON` are shares of one core, on another thread.
"""
SOAK = """## Ten minutes

"""


def page(results: Path = RESULTS) -> str:
    """The whole page; what was not measured is left out."""
    from .policies import AGE

    load, soak = (_read(results / f"serve_{name}.json") for name in ("load", "soak"))
    if load is None:
        return ""
    kinds = {"fill": "fills", "short": "continuations of 4 to 12 tokens", "chat": "answers of 8 to 16"}
    kinds["long"] = "continuations of 24 to 48"
    mix = ", ".join(f"{load['mix'][kind]} % {name}" for kind, name in kinds.items())
    parts = [HEAD.format(mix=mix, age=AGE), *_load(load)]
    if soak is not None:
        parts += _soak(soak)
    return "\n".join(parts) + "\n"


def _read(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def _load(found: Mapping[str, Any]) -> list[str]:
    best = {name: _point(found, name, step) for name, step in found["best"].items()}
    missed = {name: _missed(found, name, step) for name, step in found["best"].items()}
    same = {name: _point(found, name, found["best"]["alone"]) for name in best}
    goodput = [
        {
            "system": NAMES[name],
            "requests a second": best[name]["rate"],
            "missed at": missed[name]["rate"],
            "beside one at a time": best[name]["rate"] / best["alone"]["rate"],
            "between": f"{best[name]['rate'] / missed['alone']['rate']:.2f} and "
            f"{missed[name]['rate'] / best['alone']['rate']:.2f}",
            "n": best[name]["requests"],
        }
        for name in best
    ]
    wrong, lost, twice, answered = (
        sum(len(p["wrong"]) for p in found["points"]),
        sum(p["lost"] for p in found["points"]),
        sum(p["twice"] for p in found["points"]),
        sum(p["answered"] for p in found["points"]),
    )
    alone = found["alone"]
    ratios = " and ".join(
        f"{best['ours']['rate'] / best[name]['rate']:.2f} times that of {text}"
        for name, text in (("alone", "one request at a time"), ("equal", "equal steps"), ("static", "static batches"))
        if name in best
    )
    return [
        GOODPUT.format(bound=found["bound"], slower=found["slower"], p95=alone["p95"], pace=alone["per second"]),
        *markdown(goodput),
        "",
        f"The goodput of continuous batching is {ratios}. The goals were 3 times that of one request at a time, and "
        "1.5 times that of equal steps.",
        "",
        f"Of {answered} answers {wrong} were wrong, {lost} lost, {twice} came twice.",
        "",
        f"`{found['command']}` ({_machine(found)}; steps of {found['rows']} rows, {found['seconds']:g} s per point)",
        "",
        SAME.format(rate=best["alone"]["rate"]),
        *_waits(same),
        "",
        OWN,
        *_waits(best),
        "",
        WHERE,
        *markdown([_shares(NAMES[name], point) for name, point in best.items()]),
        "",
    ]


def _point(found: Mapping[str, Any], system: str, step: float) -> dict[str, Any]:
    return next(p for p in found["points"] if (p["system"], p["step"]) == (system, step))


def _missed(found: Mapping[str, Any], system: str, step: float) -> dict[str, Any]:
    above = [p for p in found["points"] if p["system"] == system and p["step"] > step]
    return min(above, key=lambda p: p["step"])


def _waits(points: Mapping[str, Mapping[str, Any]]) -> list[str]:
    kinds = [f"{what} {share}" for what in ("first", "all") for share in ("p50", "p95", "p99")]
    return markdown(
        [
            {
                "system": NAMES[name],
                "a second": point["rate"],
                **{kind.replace("all", "end"): point[kind] for kind in kinds},
                "jobs per tick": point["jobs per tick"],
            }
            for name, point in points.items()
        ]
    )


def _shares(name: str, point: Mapping[str, Any]) -> dict[str, Any]:
    share = {key: f"{100 * value:.1f} %" for key, value in point["where"].items()}
    return {
        "system": name,
        "network": share["network"],
        "rest of the step": share["decoding"],
        "verbs": share["verbs"],
        "scheduler": share["scheduler"],
        "telling": share["telling"],
        "busy": share["busy"],
        "event loop": share["event loop"],
        "JSON": share["json"],
        "event loop late, p99": f"{1e3 * point['late p99']:.1f} ms",
    }


def _soak(found: Mapping[str, Any]) -> list[str]:
    memory: Sequence[tuple[float, float]] = found["memory"]
    usual, most = (1e3 * found[name] for name in ("late p99", "late most"))
    scheduler = 100 * found["where"]["scheduler"]
    text = (
        f"{found['clients']} clients at once for {found['seconds'] / 60:g} minutes, each of which asks again when it "
        "has its answer; of the streams a twentieth vanish in the middle and a twentieth are cancelled. "
        f"{found['requests']} requests: {found['vanished']} clients vanished, {found['cancelled']} cancelled; of the "
        f"other answers {len(found['wrong'])} were wrong, {found['lost']} lost, {found['twice']} came twice, "
        f"{found['refused']} were refused. Nothing was left in the engine. The event loop was late by {usual:.1f} ms "
        f"at p99, {most:.0f} ms at most; the scheduler took {scheduler:.1f} % of the engine's time. The memory of the "
        f"server changed by {found['MB per minute']:+.2f} MB a minute over the last three quarters."
    )
    every = max(len(memory) // 10, 1)
    table = [{"minute": f"{at:.1f}", "MB": f"{size:.0f}"} for at, size in memory[::every]]
    return [SOAK + text, "", *markdown(table), "", f"`{found['command']}` ({_machine(found)})"]


def _machine(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found["machine"].items())


def write(results: Path = RESULTS, place: Path = PAGE) -> None:
    """The page, where there is a result to write of."""
    text = page(results)
    if text:
        place.write_text(text, encoding="utf-8")
