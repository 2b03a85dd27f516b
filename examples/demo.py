"""The whole of undiffuse in under four minutes: train a small model of real English, fill blanks, generate, measure.

    python examples/demo.py           about two and a half minutes of training
    python examples/demo.py --quick   the same in under 45 seconds

The text is the help pages that come with every Python: paragraphs that recur are dropped, and a tenth of the topics is
held out. Everything below is the public interface, so this file is also an example of it.
"""

import argparse
import json
import random
import re
import tempfile
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text as Styled

import undiffuse as ud
from undiffuse.data.readers import read
from undiffuse.data.split import Split, split
from undiffuse.data.topics import topics
from undiffuse.evaluate.compressors import xz_bits_per_byte, xz_bits_per_byte_after
from undiffuse.evaluate.ngram import best_order
from undiffuse.language_model import Generated
from undiffuse.text.holes import Hole, Segment, Text, render
from undiffuse.training.run import Run
from undiffuse.visible import one_line, safe

PARAGRAPH = re.compile(r"\n[ \t]*\n")
PROSE = re.compile(r"\s*[A-Z][^>|={}]{80,400}\.\s*")
WORD = re.compile(r"(?<= )[a-z]{3,}(?= )")
console = Console(highlight=False)


@dataclass(frozen=True)
class Budget:
    """How long to train, how many blanks to fill, how long a frame of the live view stays (seconds)."""

    minutes: float
    blanks: int
    frame: float


FULL = Budget(minutes=2.5, blanks=10, frame=0.4)
QUICK = Budget(minutes=0.25, blanks=5, frame=0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="train for a quarter of a minute")
    budget = QUICK if parser.parse_args().quick else FULL
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "demo.jsonl"
        file.write_text("".join(json.dumps({"text": page.text}) + "\n" for page in topics().documents))
        parts = split(read([file]))
        console.rule("1. train", align="left")
        sizes = [f"{corpus.bytes / 1e3:.0f} kB" for corpus in (parts.train, parts.valid)]
        console.print(f"{sizes[0]} of Python's help pages; {sizes[1]} of other pages are held out")
        with ud.TrainingBar(console) as bar:
            run = ud.train(file, minutes=budget.minutes, progress=bar)
    fill_blanks(run.model, parts, budget)
    passage = generate_passage(run.model, budget)
    measure(run, parts, passage)
    suggest(run)


def live(model: ud.LanguageModel, frame: float) -> AbstractContextManager[ud.Watch | None]:
    """The view of a canvas as it denoises, where there is a terminal to draw it on."""
    return ud.Watch(model.tokenizer, console, frame) if console.is_terminal else nullcontext()


def fill_blanks(model: ud.LanguageModel, parts: Split, budget: Budget) -> None:
    """One blank in each of some held-out paragraphs, drawn by a fixed seed. Hits and misses are shown."""
    console.rule("2. fill blanks in held-out paragraphs (drawn by seed, hits and misses shown)", align="left")
    questions = blanks(model, parts, budget.blanks)
    table = Table("held-out text", "truth", "three best answers", box=None, padding=(0, 2, 0, 0), header_style="dim")
    first = among = 0
    with live(model, budget.frame) as watch:
        for left, truth, right in questions:
            hole: list[Segment] = [Text(left), Hole(1, 1, "[MASK]"), Text(right)]
            answer = model.fill(render(hole), top=3, on_event=watch)[0].holes[0]
            answers = [(answer.text, answer.probability), *((a.text, a.probability) for a in answer.alternatives)]
            first += answers[0][0] == truth
            among += truth in [text for text, _ in answers]
            shown = "  ".join(f"{one_line(text)} {probability:.2f}" for text, probability in answers)
            table.add_row(around(left, right), truth, Styled(shown, style="green" if answers[0][0] == truth else ""))
    console.print(table)
    console.print(f"right: {first} of {len(questions)}; among the three best: {among} of {len(questions)}")


def blanks(model: ud.LanguageModel, parts: Split, count: int) -> list[tuple[str, str, str]]:
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


def generate_passage(model: ud.LanguageModel, budget: Budget) -> Generated:
    """As long as the trained context, by the strategy that `examples/strategies.py` found best."""
    console.rule("3. generate a passage", align="left")
    console.print(
        "After minutes on 0.3 MB of text expect phrases in the manner of the help pages, not prose that makes sense."
    )
    with live(model, budget.frame / 8) as watch:
        passage = model.generate(strategy="ancestral", top_p=0.9, seed=1, on_event=watch)[0]
    console.print(Styled(safe(passage.text.strip()), style="cyan"))
    return passage


def measure(run: Run, parts: Split, passage: Generated) -> None:
    console.rule("4. measure on the held-out pages", align="left")
    train, held_out = ([page.text.encode() for page in corpus.documents] for corpus in (parts.train, parts.valid))
    order, ngram = best_order(train, held_out)
    bound = run.model.manifest["training"]["bound"]["bits_per_byte"]
    table = Table("bits per byte (less is better)", "", box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_row("this model, upper bound", f"{bound['mean']:.3f} ± {bound['stderr']:.3f}")
    table.add_row(f"best byte n-gram (contexts of up to {order} bytes)", f"{ngram:.3f}")
    table.add_row("xz, after the training text", f"{xz_bits_per_byte_after(b''.join(train), b''.join(held_out)):.3f}")
    table.add_row("xz, alone", f"{xz_bits_per_byte(b''.join(held_out)):.3f}")
    console.print(table)
    console.print(
        f"the passage took {passage.nfe} evaluations of the network, {passage.tokens_per_forward:.2f} tokens each"
    )


def suggest(run: Run) -> None:
    console.rule("next", align="left")
    commands = [
        '.venv/bin/undiffuse fill "The value of the ____ is [MASK] when the function returns." --watch',
        ".venv/bin/undiffuse generate --watch",
        ".venv/bin/undiffuse train YOUR-TEXT.txt",
    ]
    console.print("\n".join(commands), markup=False, soft_wrap=True)
    console.print(f"The model and its report are in {run.directory}; these commands use the newest run.", style="dim")


if __name__ == "__main__":
    main()
