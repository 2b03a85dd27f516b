"""Recipes against each other: trained on one text at equal cost, and measured in one unit.

A cell is one recipe with one seed. All cells share the text and its split, the shape of the network, the batch and the
size of the vocabulary, except where a recipe sets these itself. A study is a directory and goes on where it ended: a
cell whose results are there is not run again, and one whose run is there is not trained again.
"""

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from ..data.corpus import Corpus
from ..data.readers import read
from ..data.split import split
from ..durable import write_json
from ..errors import UserError
from ..evaluate.ngram import NGram
from ..text.tokenizer import size_for
from ..training.configuration import SIZES, Configuration, flat
from ..training.plan import Budget, Size, dial, sized
from ..training.progress import Watcher, unwatched
from ..training.recipe import ALIASES, recipes, resolve
from ..training.run import resume, train
from ..training.run_directory import RunDirectory
from .cell import Asked, measured
from .frontier import refuse_another, scorer_of

STUDY = "study.json"
TEXTS = ("training text", "held-out text")
DEFAULT = ("mdlm", "udlm", "duo", "gidd", "sedd-absorb", "plaid", "ar", "ar-regularized")
SHAPE = (*(f"model.{name}" for name in SIZES), "training.rows", "tokenizer.size")
RECORDS = "data.records"
"""What the study chooses for all cells where neither a recipe nor the user does."""


def every() -> tuple[str, ...]:
    """All recipes, without other names of one, and without that which only changes the tokenizer."""
    return tuple(name for name in recipes() if name not in ALIASES and name != "byte")


@dataclass(frozen=True)
class Cell:
    """A recipe, by name or path, with everything that is set on top of it, and a seed."""

    recipe: str
    overrides: tuple[str, ...]
    configuration: Configuration
    seed: int

    @property
    def system(self) -> str:
        return Path(self.recipe).stem if self.recipe.endswith(".toml") else self.recipe

    @property
    def name(self) -> str:
        return f"{self.system}-{self.seed}"


@dataclass(frozen=True, eq=False)
class Study:
    """Its directory, what was asked (see `results`), and the cells of this call: all recipes with seed 0 first."""

    out: Path
    request: Mapping[str, Any]
    files: tuple[str, ...]
    valid: str | None
    text: tuple[Corpus, Corpus]
    asked: Asked
    cells: tuple[Cell, ...]

    @classmethod
    def open(
        cls,
        files: Sequence[str],
        out: Path,
        chosen: Iterable[str] = DEFAULT,
        *,
        seeds: int = 1,
        minutes: float | None = None,
        steps: int | None = None,
        overrides: Sequence[str] = (),
        valid: str | None = None,
        asked: Asked | None = None,
        device: str | torch.device = "cpu",
        threads: int | None = None,
    ) -> "Study":
        """A new study or one that goes on, everything checked that can be before anything is trained.

        UserError for unknown recipes, settings that one of them cannot take, or a directory with another study.
        """
        asked = asked or Asked()
        budget = Budget(minutes, steps)
        if "-" in (*files, valid):
            raise UserError("a study reads its text once per cell, and standard input can be read once: name a file")
        chosen = _distinct(chosen)
        text = read(list(files))
        parts = (text, read([valid])) if valid is not None else ((s := split(text)).train, s.valid)
        shape = _shape(overrides, dial(budget.nominal_minutes, parts[0].bytes), parts[0].bytes)
        room = shape["model.context"] - shape["model.context"] // 4
        if asked.length is not None and not 2 <= asked.length <= room:
            raise UserError(
                f"prompts take a quarter of the context of {shape['model.context']} tokens, and {asked.length} new "
                f"ones do not fit behind: use --length 2 to {room}"
            )
        cells = tuple(
            cell for seed in range(seeds) for cell in (_cell(recipe, overrides, shape, seed) for recipe in chosen)
        )
        request = {
            **dict(zip(TEXTS, (part.digest for part in parts), strict=True)),
            **asdict(budget),
            "overrides": sorted(overrides),
            "shape": {name.partition(".")[2] if name != "tokenizer.size" else "tokens": v for name, v in shape.items()},
            **asdict(asked),
            "nfe": list(asked.nfe),
            "length": asked.length or room,
            "threads": threads or torch.get_num_threads(),
            "device": str(device),
        }
        study = cls(out, request, tuple(map(str, files)), valid, parts, asked, cells)
        study._claim()
        return study

    def _claim(self) -> None:
        """Writes what is asked, unless the same stands there."""
        if not (self.out / STUDY).exists():
            self.out.mkdir(parents=True, exist_ok=True)
            write_json(self.out / STUDY, {**self.request, **self._facts()})
        refuse_another(self.out / STUDY, _read(self.out / STUDY), self.request)
        for cell in self.cells:
            if self.run_of(cell).exists():
                self._check_run(cell)

    def _facts(self) -> dict[str, Any]:
        """What is told and may change from call to call."""
        train, valid = self.text
        return {
            "files": [Path(file).name for file in self.files],
            "bytes": {"train": train.bytes, "valid": valid.bytes},
            "machine": {"platform": platform.platform(), "cores": os.cpu_count()},
            "versions": {
                "undiffuse": version("undiffuse"),
                "python": platform.python_version(),
                "torch": torch.__version__,
            },
        }

    def _check_run(self, cell: Cell) -> None:
        """UserError if the run of a cell was trained otherwise: its recipe has changed since, or its file of text."""
        path = self.run_of(cell)
        run = RunDirectory.open(path)
        texts = {name: self.request[name] for name in TEXTS}
        now = flat(json.loads(json.dumps(cell.configuration.to_dict())))
        then = flat(json.loads(json.dumps(run.configuration.to_dict())))
        before = dict(zip(TEXTS, (part.digest for part in run.text), strict=True))
        refuse_another(path, then | before, texts | now, "run")

    @cached_property
    def scorer(self) -> NGram:
        train, valid = self.text
        return scorer_of([d.text for d in train.documents], "\n".join(d.text for d in valid.documents))

    def run_of(self, cell: Cell) -> Path:
        return self.out / "runs" / cell.name

    def kept(self, cell: Cell) -> dict[str, Any] | None:
        """The results of a cell that was measured before."""
        path = self._results_of(cell)
        return _read(path) if path.exists() else None

    def measure(self, cell: Cell, progress: Watcher = unwatched) -> dict[str, Any]:
        """Trains what is not trained, measures, and keeps the results. KeyboardInterrupt if training was."""
        self._train(cell, progress)
        device = torch.device(self.request["device"])
        context = self.request["shape"]["context"]
        found = measured(self.run_of(cell), self.scorer, self.asked, context, cell.seed, device)
        whole = {"recipe": cell.system, "seed": cell.seed, **found}
        self._results_of(cell).parent.mkdir(exist_ok=True)
        write_json(self._results_of(cell), whole)
        return whole

    def _results_of(self, cell: Cell) -> Path:
        return self.out / "cells" / f"{cell.name}.json"

    def _train(self, cell: Cell, progress: Watcher) -> None:
        path = self.run_of(cell)
        if path.exists():
            directory = RunDirectory.open(path)
            plan = directory.plan()
            if plan is not None and directory.finished_step == plan.ends[-1]:
                torch.set_num_threads(self.request["threads"])
                return
            run = resume(path, progress=progress)
        else:
            run = train(
                self.files,
                out=path,
                recipe=cell.recipe,
                minutes=self.request["minutes"],
                steps=self.request["steps"],
                valid=self.valid,
                seed=cell.seed,
                overrides=cell.overrides,
                device=self.request["device"],
                threads=self.request["threads"],
                progress=progress,
            )
        if not run.complete:
            raise KeyboardInterrupt
        self._check_run(cell)


def results(out: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What was asked, and all cells of a study by recipe and seed. "text" is the quality of the real text, by itself.

    It is in tokens of the study's vocabulary, unless all systems have one of their own.
    """
    cells = [_read(path) for path in sorted((out / "cells").glob("*.json"))]
    own = [cell for cell in cells if "text" in cell]
    shared = [cell for cell in own if cell["training"]["tokenizer"]["kind"] != "byte"]
    real = next(iter(shared or own), {}).get("text")
    return {**_read(out / STUDY), "text": real}, sorted(cells, key=lambda cell: (cell["recipe"], cell["seed"]))


def _distinct(chosen: Iterable[str]) -> tuple[str, ...]:
    """The recipes, each once, if all exist."""
    known = tuple(dict.fromkeys(chosen))
    for recipe in known:
        resolve(recipe)
    systems = [Path(recipe).stem if recipe.endswith(".toml") else recipe for recipe in known]
    for recipe, system in zip(known, systems, strict=True):
        if systems.count(system) > 1:
            raise UserError(f"two recipes are called {system!r}: rename the file {recipe}")
    return known


def _key(override: str) -> str:
    return override.partition("=")[0].strip()


def _shape(overrides: Sequence[str], size: Size, text_bytes: int) -> dict[str, int]:
    """What all cells have, by the keys in `SHAPE`: as the user says, else by the dial, once for all."""
    given = resolve("default", [override for override in overrides if _key(override) in SHAPE]).configuration
    whole = sized(given, size)
    vocabulary = size_for(text_bytes) if given.tokenizer.size == "auto" else given.tokenizer.size
    values = flat(whole.to_dict()) | {"tokenizer.size": vocabulary}
    return {name: values[name] for name in SHAPE}


def _cell(recipe: str, overrides: Sequence[str], shape: Mapping[str, int], seed: int) -> Cell:
    """A cell with the shape of the study where the recipe leaves it open. UserError names recipe and key."""
    plain = flat(resolve(recipe).configuration.to_dict())
    # a tokenizer without a size to choose keeps it
    given = [each for each in overrides if _key(each) != "tokenizer.size" or plain["tokenizer.kind"] == "bpe"]
    if not any(_key(each) == RECORDS for each in given):
        given.append(f"{RECORDS}=off")
    try:
        found = flat(resolve(recipe, given).configuration.to_dict())
        if found[RECORDS] != "off":
            raise UserError(f"a study continues pieces of one running text: leave out {RECORDS}")
        names = [name for name in SHAPE if found[name] == "auto"]
        if found["tokenizer.kind"] != "bpe":
            names.remove("tokenizer.size")
        whole = (*given, *(f"{name}={shape[name]}" for name in names))
        return Cell(recipe, whole, resolve(recipe, whole).configuration, seed)
    except UserError as error:
        raise UserError(f"recipe {recipe}: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): delete it to have it measured again") from error
    return content
