"""What `undiffuse demo NAME` plays: a small task, trained live, that checks itself and prints what came of it.

A showpiece is one module of this package with a constant `SHOWPIECE`; its name is its file's. It trains what it needs
by `Stage.train`, prints to the stage's console, and keeps its picture and whatever else it makes in the stage's
directory. It returns its numbers, which become `result.json` there.
"""

import importlib
import json
import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from ..decode.event import Event
from ..durable import write_bytes
from ..errors import UserError, did_you_mean
from ..figures import finite
from ..text.codec import Codec
from ..training.plan import Budget
from ..training.progress import Watcher
from ..training.run import Run, train
from ..training.run_directory import free_path

Watching = AbstractContextManager[Callable[[Event], None] | None]
Result = Mapping[str, Any]
"""Numbers, texts, and lists and mappings of these."""


@dataclass(frozen=True)
class Stage:
    """Where a showpiece plays.

    `out` is a directory of its own, which exists. `minutes` are those of training of one model; `full` says whether
    they are enough for what the showpiece promises: where they are not, it states no gate. `bar()` is a context that
    draws the progress of a run, `watch(tokenizer, pace)` one that draws a text while it is denoised, or None where
    there is no terminal. A showpiece that trains `several` seeds trains so many, from 0 on.
    """

    out: Path
    console: Console
    minutes: float
    full: bool
    bar: Callable[[], AbstractContextManager[Watcher]]
    watch: Callable[[Codec, float], Watching]
    threads: int | None = None
    seeds: int = 1

    def train(self, name: str, files: Sequence[Path] | Path, **options: Any) -> Run:
        """A run in `out/name`, as `undiffuse.train` makes it; `minutes` unless the options give a budget.

        KeyboardInterrupt where it was interrupted: what follows would be about another model.
        """
        if not {"minutes", "steps"} & options.keys():
            options["minutes"] = self.minutes
        with self.bar() as bar:
            run = train(files, out=self.out / name, threads=self.threads, progress=bar, **options)
        if not run.complete:
            raise KeyboardInterrupt
        return run


@dataclass(frozen=True)
class Showpiece:
    """`summary` is one line on what is shown. `minutes` of training of each model are what its gate is about.

    `several` says whether it can train several seeds, and put their numbers together.
    """

    summary: str
    minutes: float
    run: Callable[[Stage], Result]
    several: bool = False


def names() -> tuple[str, ...]:
    """Names of all showpieces, from their files alone: none is imported."""
    package = importlib.import_module(__package__)
    found = [module.name for module in pkgutil.iter_modules(package.__path__)]
    return tuple(sorted(name for name in found if _plays(Path(package.__path__[0], f"{name}.py"))))


def showpiece(name: str) -> Showpiece:
    """The showpiece of a name; UserError with the nearest where there is none."""
    if name not in names():
        raise UserError(f"there is no demo {name!r}{did_you_mean(name, names())}")
    return importlib.import_module(f"{__package__}.{name}").SHOWPIECE


def play(
    pieces: Mapping[str, Showpiece],
    console: Console,
    out: str | Path | None,
    minutes: float | None,
    bar: Callable[[], AbstractContextManager[Watcher]],
    watch: Callable[[Codec, float], Watching],
    threads: int | None = None,
    seeds: int = 1,
) -> dict[str, Result]:
    """Plays showpieces one after the other; each has `out` (`demos/NAME`), of several a directory there each.

    `minutes` of training of each model, else those of each showpiece. UserError for other than a
    positive number of minutes, for several `seeds` of what trains one, and where a directory exists already.
    """
    if minutes is not None:
        Budget(minutes=minutes)
    for name, piece in pieces.items():
        if seeds > 1 and not piece.several:
            raise UserError(f"the demo {name!r} trains one seed: leave out --seeds")
    results: dict[str, Result] = {}
    for name, piece in pieces.items():
        place = free_path(Path("demos"), name) if out is None else Path(out) / (name if len(pieces) > 1 else "")
        if place.exists():
            raise UserError(f"{place} exists already: choose another --out")
        place.mkdir(parents=True)
        given = piece.minutes if minutes is None else minutes
        stage = Stage(place, console, given, given >= piece.minutes, bar, watch, threads, seeds)
        results[name] = piece.run(stage)
        text = json.dumps(finite(results[name]), indent=2, ensure_ascii=False)
        write_bytes(place / "result.json", f"{text}\n".encode())
    return results


def _plays(file: Path) -> bool:
    return re.search(r"^SHOWPIECE\b", file.read_text(encoding="utf-8"), re.MULTILINE) is not None
