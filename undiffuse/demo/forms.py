"""Forms filled from a sentence: five typed fields, and an object that always parses and satisfies its schema.

Braces, keys and quotes are fixed and each value is a typed hole, so what comes out is valid whatever the network
thinks; what is right is another question. The twin writes the object as text, and may get either wrong.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from ..evaluate.infill import Accuracy
from ..language_model import LanguageModel
from .contest import TWIN, Answers, Contest, Played, Question, Side, Task, Way, play
from .contest_page import told
from .showpiece import Result, Showpiece, Stage

NAMES: tuple[str, ...] = ("Ada", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo", "Iris", "Jonas", "Karin")
NAMES += ("Lena", "Maria", "Nils", "Olga", "Paul", "Rosa", "Simon", "Tara", "Viktor")
ITEMS = ("lamp", "chair", "table", "clock", "mirror", "carpet", "shelf", "vase", "basket", "pillow")
MONTHS: tuple[str, ...] = ("January", "February", "March", "April", "May", "June", "July", "August", "September")
MONTHS += ("October", "November", "December")
FIRST, DAYS = date(2026, 1, 1), 730
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "who": {"enum": list(NAMES)},
        "what": {"enum": list(ITEMS)},
        "many": {"type": "integer", "minimum": 1, "maximum": 99},
        "day": {"type": "string", "format": "date"},
        "gift": {"type": "boolean"},
    },
}
SENTENCES = (
    "{who} orders {things} for {day}{gift}.",
    "Please send {things} to {who} by {day}{gift}.",
    "On {day} {things} go to {who}{gift}.",
    "For {who}: {things}{gift}, due {day}.",
    "We expect {who} on {day} with {things}{gift}.",
    "By {day}, {who} needs {things}{gift}.",
)
GIFTS = {True: (", as a gift", ", gift wrapped"), False: ("", ", no wrapping")}


class Orders(Task):
    """A sentence of a template, and the object of its five values."""

    def draw(self, chance: random.Random, held_out: bool) -> Question:
        day = FIRST + timedelta(days=chance.randrange(DAYS))
        many, what, gift = chance.randint(1, 99), chance.choice(ITEMS), chance.random() < 0.5
        found = {"who": chance.choice(NAMES), "what": what, "many": many, "day": day.isoformat(), "gift": gift}
        things = f"{many} {plural(what) if many > 1 else what}"
        written = f"{day.day} {MONTHS[day.month - 1]} {day.year}"
        wrapped = chance.choice(GIFTS[gift])
        sentence = chance.choice(SENTENCES).format(who=found["who"], things=things, day=written, gift=wrapped)
        return Question(f"{sentence}\n", json.dumps(found))

    def right(self, question: Question, answer: str) -> bool:
        found = read(answer)
        return satisfies(found) and found == json.loads(question.answer)


def plural(noun: str) -> str:
    return "shelves" if noun == "shelf" else f"{noun}s"


def read(text: str) -> object:
    """The object that a text is, None where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class Typed(Side):
    """The answer is an object of the schema, its values filled as typed holes."""

    def record(self, question: Question) -> tuple[str, str]:
        return question.given, question.answer

    def ask(self, model: LanguageModel, questions: Sequence[Question], way: Way) -> Answers:
        found = [model.fill_object(question.given, SCHEMA, **way.settings)[0] for question in questions]
        return Answers(tuple(each.text for each in found), sum(each.filled.nfe for each in found) / len(found))


CONTEST = Contest(
    Orders(),
    ways=(
        Way("confidence", "confidence"),
        Way("left to right", "left-to-right"),
        Way("random order", "random"),
        Way("confidence, 4 steps", "confidence", 4),
        Way("confidence, 1 step", "confidence", 1),
    ),
    promise=("confidence", 0.95),
    minutes=2.5,
    steps=1000,
    twin_steps=1000,
    overrides=("model.width=96", "model.depth=4", "model.heads=3", "training.rows=16"),
    side=Typed(),
    records=12_000,
    questions=100,
)


def run(stage: Stage) -> Result:
    stage.console.rule("forms: five typed fields from a sentence", align="left")
    played = play(stage, CONTEST)
    by_field = fields(played)
    valid = {name: share_valid(played, name) for name in ("confidence", TWIN)}
    result = told(stage, CONTEST, played, fields=by_field, valid=valid)
    for name, share in valid.items():
        stage.console.print(f"{name}: {100 * share:.1f} % of the objects parse and satisfy the schema")
    shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in by_field.items())
    stage.console.print(f"right by field: {shares}")
    question, answer = played[0].questions[0], played[0].answers["confidence"].texts[0]
    stage.console.print(f"{question.given}{answer}", markup=False)
    return result


def fields(played: Sequence[Played]) -> dict[str, float]:
    """The share of right values of each field, by confidence."""
    pairs = [
        (json.loads(answer), json.loads(question.answer))
        for each in played
        for question, answer in zip(each.questions, each.answers["confidence"].texts, strict=True)
    ]
    return {
        name: Accuracy(sum(found[name] == known[name] for found, known in pairs), len(pairs)).share
        for name in SCHEMA["properties"]
    }


def share_valid(played: Sequence[Played], way: str) -> float:
    """The share of objects that satisfy the schema."""
    texts = [text for each in played for text in each.answers[way].texts]
    return sum(satisfies(read(text)) for text in texts) / len(texts)


def satisfies(value: object) -> bool:
    """Whether a value is an object of the schema."""
    if not isinstance(value, dict) or list(value) != list(SCHEMA["properties"]):
        return False
    try:
        date.fromisoformat(value["day"])
    except (ValueError, TypeError):
        return False
    many = value["many"]
    return (
        value["who"] in NAMES
        and value["what"] in ITEMS
        and type(many) is int
        and 1 <= many <= 99
        and type(value["gift"]) is bool
    )


SHOWPIECE = Showpiece(
    "forms filled from a sentence: JSON that always validates, and is right", CONTEST.minutes, run, several=True
)
