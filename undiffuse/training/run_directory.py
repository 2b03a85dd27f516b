"""The files of a run: what was asked for, the text, the plan. With them a run resumes without its original files."""

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..data.corpus import Corpus, Document
from ..durable import new_directory, sweep, write_bytes, write_json
from ..errors import UserError
from ..language_model.storage import MANIFEST, save
from ..text.tokenizer import Tokenizer
from .configuration import Configuration, read_configuration
from .plan import Course, Plan
from .start import Start

FORMAT = 3
"""1 had no starts: every run of it began from new weights. 2 had no courses: a plan was never changed."""
START = "start"


@dataclass(frozen=True)
class RunDirectory:
    """A directory that holds run.json and text.jsonl from its first moment; other files come as the run proceeds."""

    path: Path

    @classmethod
    def create(
        cls, path: Path, request: Mapping[str, Any], train: Corpus, valid: Corpus, start: Start | None = None
    ) -> "RunDirectory":
        """Makes the directory with everything that a resumed run needs. UserError if it exists or cannot be written."""
        if path.exists():
            raise UserError(f"{path} exists already: choose another --out, or go on with it by --resume {path}")
        with new_directory(path) as partial:
            write_json(partial / "run.json", {"format": FORMAT, **request})
            lines = (*_lines("train", train), *_lines("valid", valid))
            write_bytes(partial / "text.jsonl", "".join(lines).encode())
            (partial / "checkpoints").mkdir()
            if start is not None:
                save(start.model, partial / START)
        return cls(path)

    def discard(self) -> None:
        """Removes the directory of a run that has neither a checkpoint nor a model: nobody would go on with it."""
        if self.finished_step is None and not any(self.checkpoints.iterdir()):
            shutil.rmtree(self.path)

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """A run to resume. UserError if the directory holds none, or one of another format."""
        if not (path / "run.json").is_file():
            raise UserError(f"{path} is not the directory of a run: it has no run.json")
        found = _read_json(path / "run.json").get("format")
        if found not in range(1, FORMAT + 1):
            raise UserError(
                f"{path / 'run.json'} has format {found}, and this version of undiffuse reads 1 to {FORMAT}: use the "
                "version that wrote it"
            )
        sweep(path)
        return cls(path)

    @property
    def request(self) -> dict[str, Any]:
        """What was asked for, as it was given to `create`."""
        return _read_json(self.path / "run.json")

    @property
    def configuration(self) -> Configuration:
        """What was asked for of the run itself; sizes may be open."""
        return read_configuration(self.request["configuration"])

    def start(self, plugins: Collection[str] = ()) -> Start | None:
        """The model that the run began from; None if it began from new weights.

        The directory holds a copy of it, or, where only updates of it are trained, its name.
        """
        request = self.request
        if (self.path / START).is_dir():
            return Start.of(self.path / START, plugins)
        if not request["configuration"].get("lora", {}).get("rank"):
            return None
        return Start.of(request["start"], plugins, request.get("revision"))

    @property
    def finished_step(self) -> int | None:
        """Steps behind the model in the directory; None if there is no model yet."""
        path = self.path / MANIFEST
        return _read_json(path)["training"]["step"] if path.exists() else None

    @property
    def finished_seconds(self) -> float:
        """Seconds of training behind the model in the directory, 0 if there is none yet."""
        path = self.path / MANIFEST
        return _read_json(path)["training"]["seconds"] if path.exists() else 0.0

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @cached_property
    def text(self) -> tuple[Corpus, Corpus]:
        """Training text and held-out text. UserError if the file was damaged."""
        parts: dict[str, list[Document]] = {"train": [], "valid": []}
        try:
            for line in (self.path / "text.jsonl").read_text(encoding="utf-8").split("\n")[:-1]:
                record = json.loads(line)
                parts[record.pop("part")].append(Document.of(record))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.path / 'text.jsonl'} is damaged ({error}): the run cannot go on") from error
        return Corpus(tuple(parts["train"])), Corpus(tuple(parts["valid"]))

    def tokenizer(self) -> Tokenizer | None:
        """The tokenizer, once it is trained."""
        path = self.path / "tokenizer.json"
        return Tokenizer.from_json(path.read_text(encoding="utf-8")) if path.exists() else None

    def keep_tokenizer(self, tokenizer: Tokenizer) -> None:
        write_bytes(self.path / "tokenizer.json", tokenizer.to_json().encode())

    def plan(self) -> Plan | None:
        """The plan, once it is made."""
        path = self.path / "plan.json"
        if not path.exists():
            return None
        record = _read_json(path)
        configuration = read_configuration(record["configuration"])
        if "courses" not in record:
            return Plan(configuration, (Course(0, tuple(record["ends"]), record["seconds_per_step"]),))
        courses = (Course(**{**course, "ends": tuple(course["ends"])}) for course in record["courses"])
        return Plan(configuration, tuple(courses))

    def keep_plan(self, plan: Plan) -> None:
        write_json(self.path / "plan.json", plan.to_dict())


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is damaged ({error}): the run cannot go on") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is damaged (not an object): the run cannot go on")
    return content


def free_path(parent: Path, name: str) -> Path:
    """`parent/name`, or with -2, -3, … after it if that exists."""
    path, number = parent / name, 1
    while path.exists():
        number += 1
        path = parent / f"{name}-{number}"
    return path


def _lines(part: str, corpus: Corpus) -> Iterator[str]:
    for document in corpus.documents:
        yield json.dumps({"part": part, **document.to_dict()}) + "\n"
