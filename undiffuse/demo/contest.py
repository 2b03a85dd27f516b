"""A task whose answers can be checked: a diffusion model and its autoregressive twin learn it and are asked the same.

Both train for the same number of steps, or the twin for as many as take it as long. Nothing looks at a clock, so that a
busy machine changes no number; the minutes of a showpiece are those of two quiet cores.
"""

import json
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..evaluate.infill import Accuracy
from ..language_model import LanguageModel
from ..training.run import Run
from .showpiece import Stage

TWIN = "twin, left to right"
QUESTION_SEED = 1_000_000
"""Questions of seed s are drawn by QUESTION_SEED + s, what is trained on by s."""


@dataclass(frozen=True)
class Question:
    """What is given and the right answer. `blank` marks holes in what is given, where the task has them."""

    given: str
    answer: str


@dataclass(frozen=True)
class Way:
    """A way to decode. `steps` None is one token per evaluation."""

    name: str
    strategy: str
    steps: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        return {"strategy": self.strategy, "steps": self.steps, "temperature": 0.0, **self.options}


@dataclass(frozen=True)
class Answers:
    """One answer per question, and the mean number of evaluations for one."""

    texts: tuple[str, ...]
    nfe: float


class Side(ABC):
    """How a model is taught a question, and asked one."""

    @abstractmethod
    def record(self, question: Question) -> tuple[str, str]:
        """What it reads, and what it learns to write."""

    @abstractmethod
    def ask(self, model: LanguageModel, questions: Sequence[Question], way: Way) -> Answers: ...


@dataclass(frozen=True)
class Continued(Side):
    """The answer follows what is given, and that what stands `before` every question."""

    before: str = ""

    def record(self, question: Question) -> tuple[str, str]:
        return self.before + question.given, question.answer

    def ask(self, model: LanguageModel, questions: Sequence[Question], way: Way) -> Answers:
        # the end of the text is part of what was learned: a canvas without a place for it is one that was never seen
        length = 1 + max(len(question.answer) for question in questions)
        given = [self.record(question)[0] for question in questions]
        found = model.generate(given, length=length, **way.settings)
        texts = tuple(each.text.removeprefix(text) for text, (each,) in zip(given, found, strict=True))
        return Answers(texts, sum(generated.nfe for (generated,) in found) / len(found))


@dataclass(frozen=True)
class Filled(Side):
    """The answer is what is given with its blanks filled: whole answers are learned, and any blank is a mask."""

    blank: str = "."
    before: str = ""

    def record(self, question: Question) -> tuple[str, str]:
        return self.before, question.answer

    def ask(self, model: LanguageModel, questions: Sequence[Question], way: Way) -> Answers:
        texts = [self.before + question.given.replace(self.blank, "[MASK]") for question in questions]
        found = model.fill(texts, top=1, **way.settings)
        answers = tuple(filled.text.removeprefix(self.before) for (filled,) in found)
        return Answers(answers, sum(filled.nfe for (filled,) in found) / len(found))


class Task(ABC):
    """Questions of one shape."""

    @abstractmethod
    def draw(self, chance: random.Random, held_out: bool) -> Question:
        """A question; those that are held out are of another kind, where chance alone does not tell them apart."""

    def right(self, question: Question, answer: str) -> bool:
        return answer == question.answer


@dataclass(frozen=True)
class Contest:
    """A task, the sides of the two models, the ways to ask the first, and what both train by.

    `steps` and `twin_steps` are those of `minutes` on two quiet cores. `promise` is a way and the share of right
    answers that it reaches.
    """

    task: Task
    ways: tuple[Way, ...]
    promise: tuple[str, float]
    minutes: float
    steps: int
    twin_steps: int
    overrides: tuple[str, ...]
    side: Side = Continued()
    twin: Side = Continued()
    records: int = 20_000
    questions: int = 300
    twin_overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trained:
    """What a run cost and came to."""

    steps: int
    seconds: float
    parameters: int
    bits_per_token: float

    @classmethod
    def of(cls, run: Run) -> "Trained":
        said = run.model.manifest["training"]
        bits = said["bound"]["nats_per_token"]["mean"] / math.log(2)
        return cls(run.step, said["seconds"], said["parameters"], bits)


@dataclass(frozen=True)
class Line:
    """Right answers of a way, over all seeds and for each."""

    way: str
    strategy: str
    steps: int | None
    accuracy: Accuracy
    nfe: float
    by_seed: tuple[float, ...]

    def json(self) -> dict[str, Any]:
        low, high = self.accuracy.interval
        return {
            **{name: value for name, value in asdict(self).items() if name != "accuracy"},
            "right": self.accuracy.correct,
            "asked": self.accuracy.count,
            "share": self.accuracy.share,
            "interval": [low, high],
        }


@dataclass(frozen=True, eq=False)
class Played:
    """One seed: both models, the questions, and the answers of each way."""

    seed: int
    model: LanguageModel
    questions: tuple[Question, ...]
    answers: Mapping[str, Answers]
    trained: Mapping[str, Trained]


def play(stage: Stage, contest: Contest) -> list[Played]:
    """All seeds of the stage, one after the other."""
    return [_seed(stage, contest, seed) for seed in range(stage.seeds)]


def lines(contest: Contest, played: Sequence[Played]) -> list[Line]:
    """The table: the ways in their order, then the twin."""
    ways = (*contest.ways, Way(TWIN, "left-to-right"))
    return [_line(contest.task, way, played) for way in ways]


def _line(task: Task, way: Way, played: Sequence[Played]) -> Line:
    found = [
        sum(task.right(*pair) for pair in zip(each.questions, each.answers[way.name].texts, strict=True))
        for each in played
    ]
    counts = [len(each.questions) for each in played]
    nfe = sum(each.answers[way.name].nfe for each in played) / len(played)
    shares = tuple(right / count for right, count in zip(found, counts, strict=True))
    return Line(way.name, way.strategy, way.steps, Accuracy(sum(found), sum(counts)), nfe, shares)


def _seed(stage: Stage, contest: Contest, seed: int) -> Played:
    share = min(1.0, stage.minutes / contest.minutes)
    questions = draw(contest.task, QUESTION_SEED + seed, max(16, round(contest.questions * share)), held_out=True)
    learned = draw(contest.task, seed, max(64, round(contest.records * share)), held_out=False)
    answers: dict[str, Answers] = {}
    trained: dict[str, Trained] = {}
    models = {}
    for name, recipe, side, steps, more in (
        ("diffusion", "default", contest.side, contest.steps, ()),
        ("twin", "ar", contest.twin, contest.twin_steps, contest.twin_overrides),
    ):
        place = stage.out / f"{name}-{seed}"
        files = [
            _written(Path(f"{place}-{part}.jsonl"), side, drawn)
            for part, drawn in (("train", learned), ("valid", questions))
        ]
        context = 1 + max(len("".join(side.record(question)).encode()) for question in (*learned, *questions))
        run = stage.train(
            place.name,
            files[0],
            valid=files[1],
            recipe=recipe,
            steps=max(2, round(steps * stage.minutes / contest.minutes)),
            seed=seed,
            overrides=("tokenizer.kind=byte", f"model.context={context}", *contest.overrides, *more),
        )
        models[name], trained[name] = run.model, Trained.of(run)
    for way in contest.ways:
        answers[way.name] = contest.side.ask(models["diffusion"], questions, way)
    answers[TWIN] = contest.twin.ask(models["twin"], questions, Way(TWIN, "left-to-right"))
    return Played(seed, models["diffusion"], questions, answers, trained)


def draw(task: Task, seed: int, count: int, *, held_out: bool) -> tuple[Question, ...]:
    chance = random.Random(seed)
    return tuple(task.draw(chance, held_out) for _ in range(count))


def _written(file: Path, side: Side, questions: Sequence[Question]) -> Path:
    records = map(side.record, questions)
    texts = (json.dumps({"prompt": given, "response": answer}) + "\n" for given, answer in records)
    file.write_text("".join(texts), encoding="utf-8")
    return file
