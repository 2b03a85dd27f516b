"""The reversal curse, measured: facts said from one end alone, asked from the other, beside the autoregressive twin.

Of every relation half of the countries are stated in both wordings, a quarter in either alone; which, the seed decides.
Both models learn the same sentences in the same number of steps. Asked are blanks of what was said, and of what was
said in the other wording alone: a capital there is the reversal curse (Berglund and others 2023, arXiv:2309.12288).

The twin reads from the left. What stands last it writes on; a blank that something follows it cannot see past, so it
tries what it holds likely there with what follows (`fill` of causal models), some thousand rows of the network each.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..evaluate.infill import Accuracy
from ..language_model import LanguageModel
from .contest import QUESTION_SEED, Answers, Trained
from .contest_page import print_trained, print_verdict
from .contest_plot import picture
from .facts import BLANK, Country, Question, countries, otherwise, stated, statements
from .reversal_page import BEFORE, CAPITALS, LAST, SAID, panel, print_table
from .showpiece import Result, Showpiece, Stage

GATE = 0.95
MINUTES, STEPS = 1.5, 1000
"""Of either model on two quiet cores."""
ASKED, SHOWN = 20, 4
"""Questions of a kind with the blank in a place, drawn by seed, and how many of the last kind are shown."""
LONGEST = 16
"""Tokens that the twin writes on: of no answer are there as many."""
NETWORK = ("model.width=192", "model.depth=2", "optimizer.kind=muon", "optimizer.adamw_lr=0.01")
"""Both have it, and what `recipes/world.toml` says of training."""


@dataclass(frozen=True)
class Line:
    """Right answers of a model to questions of a kind with the blank in a place, over all seeds and for each."""

    kind: str
    blank: str
    by: str
    right: int
    asked: int
    share: float
    interval: tuple[float, float]
    by_seed: tuple[float, ...]
    evaluations: float


@dataclass(frozen=True, eq=False)
class Played:
    """One seed: what was asked, and the answers of both models."""

    trained: Mapping[str, Trained]
    questions: Mapping[tuple[str, str], Sequence[Question]]
    answers: Mapping[str, Mapping[tuple[str, str], Answers]]


def run(stage: Stage) -> Result:
    console = stage.console
    console.rule("the reversal curse: facts said from one end, asked from the other", align="left")
    played = [_seed(stage, seed) for seed in range(stage.seeds)]
    print_trained(console, [each.trained for each in played])
    found = [asdict(line) for line in lines(played)]
    print_table(console, found)
    shown = examples(played[0])
    for each in shown:
        console.print(f"{each['asked']}   diffusion: {each['diffusion']}   twin: {each['twin']}", markup=False)
    gate = None
    if stage.full:
        said = [line["share"] for line in found if line["by"] == "diffusion" and line["kind"] == SAID]
        promise = f"at least {100 * GATE:g} % of what was said right, the blank at either end"
        gate = print_verdict(console, promise, f"{100 * min(said):.1f} %", min(said) >= GATE)
    else:
        console.print("Trained for less than it takes: no gate is stated.", style="dim")
    panels = [lambda axes, place=place: panel(axes, found, place) for place in (LAST, BEFORE)]
    console.print(picture(stage.out / "picture.svg", panels), style="dim", soft_wrap=True)
    return {
        "seeds": list(range(stage.seeds)),
        "minutes": stage.minutes,
        "trained": {str(seed): {n: vars(t) for n, t in each.trained.items()} for seed, each in enumerate(played)},
        "lines": found,
        "gate": gate,
        "examples": shown,
    }


def kinds(table: Sequence[Country]) -> dict[tuple[str, str], list[Question]]:
    """Questions by kind and by the place of the blank."""
    both = {
        SAID: stated(table),
        "regions, in other words": otherwise(table, "region"),
        "currencies, languages, the other way round": [
            *otherwise(table, "currency"),
            *otherwise(table, "language"),
        ],
        CAPITALS: otherwise(table, "capital"),
    }
    found: dict[tuple[str, str], list[Question]] = {}
    for kind, questions in both.items():
        for question in questions:
            place = LAST if question.text.removesuffix(".").endswith(BLANK) else BEFORE
            found.setdefault((kind, place), []).append(question)
    return {(kind, place): found[kind, place] for kind in both for place in (LAST, BEFORE) if (kind, place) in found}


def lines(played: Sequence[Played]) -> list[Line]:
    return [_line(kind, place, by, played) for kind, place in played[0].questions for by in played[0].answers]


def _line(kind: str, place: str, by: str, played: Sequence[Played]) -> Line:
    right, counts, evaluations = [], [], []
    for each in played:
        questions, answers = each.questions[kind, place], each.answers[by][kind, place]
        right.append(sum(q.answer == text for q, text in zip(questions, answers.texts, strict=True)))
        counts.append(len(questions))
        evaluations.append(answers.nfe)
    total = Accuracy(sum(right), sum(counts))
    shares = tuple(a / b for a, b in zip(right, counts, strict=True))
    mean = sum(evaluations) / len(evaluations)
    return Line(kind, place, by, total.correct, total.count, total.share, total.interval, shares, mean)


def _seed(stage: Stage, seed: int) -> Played:
    share, table = min(1.0, stage.minutes / MINUTES), countries(seed)
    file = stage.out / f"facts-{seed}.txt"
    file.write_text("".join(line + "\n" for line in statements(table)), encoding="utf-8")
    chance, count = random.Random(QUESTION_SEED + seed), max(4, round(ASKED * share))
    asked = {cell: drawn(chance, questions, count) for cell, questions in kinds(table).items()}
    models, trained = {}, {}
    for name, recipe in (("diffusion", "world"), ("twin", "ar")):
        run = stage.train(
            f"{name}-{seed}",
            file,
            valid=file,
            recipe=recipe,
            steps=max(2, round(STEPS * stage.minutes / MINUTES)),
            seed=seed,
            overrides=NETWORK,
        )
        models[name], trained[name] = run.model, Trained.of(run)
    answers: dict[str, dict[tuple[str, str], Answers]] = {"diffusion": {}, "twin": {}}
    for (kind, place), questions in asked.items():
        answers["diffusion"][kind, place] = filled(models["diffusion"], questions)
        ask = continued if place == LAST else filled
        answers["twin"][kind, place] = ask(models["twin"], questions)
    return Played(trained, asked, answers)


def drawn(chance: random.Random, questions: Sequence[Question], count: int) -> Sequence[Question]:
    return chance.sample(questions, min(count, len(questions)))


def filled(model: LanguageModel, questions: Sequence[Question]) -> Answers:
    found = model.fill([question.text for question in questions], top=1)
    texts = tuple(each.holes[0].text.strip() for (each,) in found)
    return Answers(texts, sum(each.nfe for (each,) in found) / len(found))


def continued(model: LanguageModel, questions: Sequence[Question]) -> Answers:
    """What is written on from the left, up to the end of the sentence."""
    given = [question.text.partition(f" {BLANK}")[0] for question in questions]
    found = model.generate(given, length=LONGEST, until=".", strategy="left-to-right", temperature=0.0)
    texts = tuple(each.text.removeprefix(text).strip() for text, (each,) in zip(given, found, strict=True))
    return Answers(texts, sum(each.nfe for (each,) in found) / len(found))


def examples(played: Played) -> list[dict[str, Any]]:
    """Capitals asked from the other end, with both answers: the first of those that were drawn."""
    found = []
    for (kind, place), questions in played.questions.items():
        if kind == CAPITALS:
            for number, question in enumerate(questions[: SHOWN // 2]):
                answers = {by: given[kind, place].texts[number] for by, given in played.answers.items()}
                found.append({"asked": question.text, "right": question.answer, **answers})
    return found


SHOWPIECE = Showpiece(
    "the reversal curse: facts said from one end, asked from the other, beside the twin", MINUTES, run, several=True
)
