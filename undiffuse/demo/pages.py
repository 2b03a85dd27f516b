"""A text model of the help pages that come with every Python: blanks, a passage, bits per byte.

Paragraphs that recur are dropped, and a tenth of the topics is held out.
"""

import json
import random
import re
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text as Styled

from ..data.readers import read
from ..data.split import Split, split
from ..data.topics import topics
from ..evaluate.compressors import xz_bits_per_byte, xz_bits_per_byte_after
from ..evaluate.ngram import best_order
from ..language_model import Generated, LanguageModel
from ..text.holes import Hole, Segment, Text, render
from ..training.run import Run
from ..visible import one_line, safe
from .showpiece import Result, Showpiece, Stage

PARAGRAPH = re.compile(r"\n[ \t]*\n")
PROSE = re.compile(r"\s*[A-Z][^>|={}]{80,400}\.\s*")
WORD = re.compile(r"(?<= )[a-z]{3,}(?= )")


@dataclass(frozen=True)
class Size:
    """How many blanks to fill, how long a frame of the live view stays (seconds)."""

    blanks: int
    frame: float


FULL = Size(blanks=10, frame=0.4)
QUICK = Size(blanks=5, frame=0.1)


def play(stage: Stage) -> Result:
    size, console = FULL if stage.full else QUICK, stage.console
    file = stage.out / "pages.jsonl"
    lines = (json.dumps({"text": page.text}) + "\n" for page in topics().documents)
    file.write_text("".join(lines), encoding="utf-8")
    parts = split(read([file]))
    sizes = [f"{corpus.bytes / 1e3:.0f} kB" for corpus in (parts.train, parts.valid)]
    console.rule(f"a text model: {sizes[0]} of Python's help pages, {sizes[1]} of other pages held out", align="left")
    run = stage.train("pages", file)
    filled = fill_blanks(stage, run.model, parts, size)
    passage = generate_passage(stage, run.model, size)
    return {**filled, **measure(console, run, parts, passage)}


def fill_blanks(stage: Stage, model: LanguageModel, parts: Split, size: Size) -> Result:
    """One blank in each of some held-out paragraphs, drawn by a fixed seed. Hits and misses are shown."""
    stage.console.rule("blanks in held-out paragraphs (drawn by seed, hits and misses shown)", align="left")
    questions = blanks(model, parts, size.blanks)
    table = Table("held-out text", "truth", "three best answers", box=None, padding=(0, 2, 0, 0), header_style="dim")
    first = among = 0
    with stage.watch(model.tokenizer, size.frame) as watch:
        for left, truth, right in questions:
            hole: list[Segment] = [Text(left), Hole(1, 1, "[MASK]"), Text(right)]
            answer = model.fill(render(hole), top=3, on_event=watch)[0].holes[0]
            answers = [(answer.text, answer.probability), *((a.text, a.probability) for a in answer.alternatives)]
            first += answers[0][0] == truth
            among += truth in [text for text, _ in answers]
            shown = "  ".join(f"{one_line(text)} {probability:.2f}" for text, probability in answers)
            table.add_row(around(left, right), truth, Styled(shown, style="green" if answers[0][0] == truth else ""))
    stage.console.print(table)
    stage.console.print(f"right: {first} of {len(questions)}; among the three best: {among} of {len(questions)}")
    return {"blanks": len(questions), "right": first, "among_three": among}


def blanks(model: LanguageModel, parts: Split, count: int) -> list[tuple[str, str, str]]:
    """Held-out paragraphs of prose cut around one word that is a single token: left, word, right."""
    paragraphs = sorted({paragraph for page in parts.valid.documents for paragraph in PARAGRAPH.split(page.text)})
    chance = random.Random(0)
    chance.shuffle(paragraphs)
    found = []
    for paragraph in filter(PROSE.fullmatch, paragraphs):
        words = [word for word in WORD.finditer(paragraph) if len(model.tokenizer.encode(" " + word[0])) == 1]
        if words and len(model.tokenizer.encode(paragraph)) < model.context:
            word = chance.choice(words)
            found.append((paragraph[: word.start()], word[0], paragraph[word.end() :]))
    return found[:count]


def around(left: str, right: str) -> Styled:
    """A few words on either side of the blank, on one line."""
    before, after = " ".join(left.split())[-40:], " ".join(right.split())[:40]
    return Styled.assemble(safe(before), (" ____ ", "yellow"), safe(after))


def generate_passage(stage: Stage, model: LanguageModel, size: Size) -> Generated:
    """As long as the trained context, by the strategy that `examples/strategies.py` found best."""
    stage.console.rule("a passage", align="left")
    stage.console.print("Expect phrases in the manner of the help pages, not prose that makes sense.")
    with stage.watch(model.tokenizer, size.frame / 8) as watch:
        passage = model.generate(strategy="ancestral", top_p=0.9, seed=1, on_event=watch)[0]
    stage.console.print(Styled(safe(passage.text.strip()), style="cyan"))
    return passage


def measure(console: Console, run: Run, parts: Split, passage: Generated) -> Result:
    console.rule("measured on the held-out pages", align="left")
    train, held_out = ([page.text.encode() for page in corpus.documents] for corpus in (parts.train, parts.valid))
    order, ngram = best_order(train, held_out)
    bound = run.model.manifest["training"]["bound"]["bits_per_byte"]
    after, alone = xz_bits_per_byte_after(b"".join(train), b"".join(held_out)), xz_bits_per_byte(b"".join(held_out))
    table = Table("bits per byte (less is better)", "", box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_row("this model, upper bound", f"{bound['mean']:.3f} ± {bound['stderr']:.3f}")
    table.add_row(f"best byte n-gram (contexts of up to {order} bytes)", f"{ngram:.3f}")
    table.add_row("xz, after the training text", f"{after:.3f}")
    table.add_row("xz, alone", f"{alone:.3f}")
    console.print(table)
    console.print(
        f"the passage took {passage.nfe} evaluations of the network, {passage.tokens_per_forward:.2f} tokens each"
    )
    return {"bits_per_byte": bound, "ngram": ngram, "xz_after": after, "xz": alone}


SHOWPIECE = Showpiece("a text model of Python's help pages: blanks, a passage, bits per byte", 1.0, play)
