"""Facts about countries, learned in a minute and a half and asked from both ends.

What a visitor can judge: capitals, regions, currencies and languages of a hundred and thirty countries (`facts`). Asked
are both ends of the stated sentences, then facts in the wording in which they were not stated, and a wording in which
nothing was; what comes of it is printed, whatever it is. What the autoregressive twin makes of such facts is printed
from a recorded run of `reversal`, in which both train for the same time.
"""

import random
from collections.abc import Sequence
from importlib import resources

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..evaluate.infill import Accuracy
from ..language_model import LanguageModel
from ..language_model.loading import load
from ..visible import one_line, safe
from .facts import UNSEEN, Question, asked, countries, otherwise, stated, statements
from .reversal_page import print_table, recorded
from .showpiece import Result, Showpiece, Stage

GATE = 0.95
ENOUGH = 0.5
"""Of stated facts that are right; with fewer, the bundled model shows what more training comes to."""
ASKED, FEW = 100, 6
"""Questions of a kind, drawn by seed where there are more; few where training was short."""
SHOWN = (
    "The capital of ____ is Lima.",
    "____ is the capital of Sweden.",
    "The capital of Guatemala is ____.",
    "People in ____ pay in forints.",
    "One pays in ____ in Japan.",
    "Kenya lies in ____.",
)
TYPED = "The capital of Norway, they say, is {city:choice(Oslo|Lima|Nairobi)}."
"""Made up, with a hole that has a type."""
STATED = "stated facts, a blank at either end"
WRONG = "The capital of Sweden is Oslo."


def play(stage: Stage) -> Result:
    table, console = countries(), stage.console
    file = stage.out / "world.txt"
    file.write_text("".join(line + "\n" for line in statements(table)), encoding="utf-8")
    console.rule(f"facts: {len(statements(table))} sentences about {len(table)} countries", align="left")
    console.print("[dim]" + " ".join(statements(table)[:3]) + " …[/]")
    model = stage.train("world", file, recipe="world", valid=file).model
    accuracies = measured(model, ASKED if stage.full else FEW)
    report(console, accuracies)
    examples(console, model)
    reached = accuracies[STATED].share
    if reached < ENOUGH:
        console.print("So little training tells it next to nothing. The model that comes with this package had more:")
        examples(console, load(str(resources.files("undiffuse") / "bundled" / "world")))
    if stage.full:
        met = "met" if reached >= GATE else "missed"
        console.print(f"promised: at least {100 * GATE:.0f} % of the blanks of stated facts right: {met}")
    beside(console)
    console.print("next, with a sentence of your own:")
    console.print(f'  undiffuse fill "{SHOWN[0]}" --model {stage.out / "world"}', markup=False, soft_wrap=True)
    return {name: {"right": found.correct, "of": found.count} for name, found in accuracies.items()}


def beside(console: Console) -> None:
    """The autoregressive twin on the same sort of facts: a recorded run, since training it would take as long again."""
    record = recorded()
    result = record["result"]
    console.rule("beside the autoregressive twin (recorded, not trained now)", align="left")
    console.print(
        f"[dim]{record['command']}: {len(result['seeds'])} seeds, {result['minutes']:g} minutes of training for each "
        "model on two quiet cores[/]"
    )
    print_table(console, result["lines"])


def kinds() -> dict[str, list[Question]]:
    """All questions of every kind."""
    table = countries()
    return {
        STATED: stated(table),
        "capitals said from one end, asked from the other": otherwise(table, "capital"),
        "currencies and languages, the same": [*otherwise(table, "currency"), *otherwise(table, "language")],
        "regions said in one wording, asked in the other": otherwise(table, "region"),
        f"nothing was said so: {UNSEEN.format(country='…', capital='…')}": [
            question for country in table for question in asked(country, UNSEEN)
        ],
    }


def measured(model: LanguageModel, count: int | None = None) -> dict[str, Accuracy]:
    """How many blanks of each kind are right, of all or of at most so many, which are drawn by a fixed seed."""
    return {
        name: right(model, questions if count is None else drawn(questions, count))
        for name, questions in kinds().items()
    }


def drawn(questions: Sequence[Question], count: int) -> Sequence[Question]:
    """At most so many, by a fixed seed."""
    return questions if len(questions) <= count else random.Random(0).sample(questions, count)


def right(model: LanguageModel, questions: Sequence[Question]) -> Accuracy:
    """A space before the answer, as inside a sentence, is forgiven."""
    answers = model.fill([question.text for question in questions], top=1)
    hits = (each[0].holes[0].text.strip() == question.answer for each, question in zip(answers, questions, strict=True))
    return Accuracy(sum(hits), len(questions))


def report(console: Console, accuracies: dict[str, Accuracy]) -> None:
    table = Table("blanks", "right", "", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name, found in accuracies.items():
        low, high = found.interval
        table.add_row(name, f"{100 * found.share:.0f} %", f"of {found.count} ({100 * low:.0f} to {100 * high:.0f})")
    console.print(table)


def examples(console: Console, model: LanguageModel) -> None:
    """Some blanks with their probabilities, a typed one, and a wrong capital that is found."""
    table = Table("a blank", "answer", "p", "other answers", box=None, padding=(0, 2, 0, 0), header_style="dim")
    for text, filled in zip((*SHOWN, TYPED), model.fill([*SHOWN, TYPED], top=3), strict=True):
        hole = filled[0].holes[0]
        others = "  ".join(f"{one_line(other.text)} {other.probability:.2f}" for other in hole.alternatives)
        table.add_row(*map(Text, (safe(text), one_line(hole.text), f"{hole.probability:.2f}", others)))
    console.print(table)
    findings = model.check(WRONG, top=1, threshold=0.0).findings
    console.print(Text(f"proofreading: {WRONG}"))
    for finding in findings:
        proposals = ", ".join(f"{proposal.text} {proposal.probability:.2f}" for proposal in finding.proposals)
        console.print(Text(f"  {finding.text} has probability {finding.probability:.1e}; rather {proposals}"))


SHOWPIECE = Showpiece("facts about countries, learned in 100 seconds and asked from both ends", 5 / 3, play)
