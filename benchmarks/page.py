"""Writes docs/benchmarks.md from the result files; a test checks that the page is up to date.

python -m benchmarks.page
"""

import json
from pathlib import Path
from typing import Any

from undiffuse.study.frontier import RESULTS as STUDY
from undiffuse.study.frontier import results
from undiffuse.study.table import table

from .report import RESULTS, markdown

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
FRONTIER = RESULTS / "frontier"
HEAD = """# Benchmarks of decoding

This page is written by `python -m benchmarks.page` from the files in `benchmarks/results`. Every number is a ratio, or
a count of work: all methods of a table ran in turns, in one process, on one thread of a two-core CPU that was shared
with other work, so the times of one table compare with each other and with nothing else.

Read savings with the machine in mind. On a CPU the cost of a pass is linear in its rows, but for the reading of the
weights, which weighs on passes of few rows: a cache that runs 32 rows in the place of 320 saves time, and a strategy
that needs fewer evaluations saves no more than it saves rows. On a graphics
processor at batch 1 a pass costs about the same with 32 rows as with 320: there a saving of rows alone is worth little,
and one of evaluations is worth all. No number here was measured on a graphics processor;
`python -m benchmarks.gpu` is the script for that, and needs eight minutes of one.

The baseline is `benchmarks/baseline.py`, a plain loop that does what LLaDA's published `generate` does. It reproduces
the recorded runs of that loop (tokens, order, passes) before it is compared with. It would not decode blocks after an
end of text; in these runs no text ends early, so all methods write the same number of tokens.

Whether a change of the code left all results alone is checked by `python -m benchmarks.same COMMIT`, which runs laws,
mutations, short trainings of every recipe, recorded decodings and timed steps at that commit and in the working tree.
It prints what differs, ends with exit code 1 if something does, and needs about 25 quiet minutes of one core.
"""
SECTIONS = (
    ("decoding_1_float32", "Caches and head alone, one request"),
    ("decoding_1_bfloat16", "The same in bfloat16"),
    ("decoding_16_float32", "Caches and head alone, sixteen requests at once"),
    ("parallel_sorting", "Parallel commits: sorting"),
    ("parallel_sudoku", "Parallel commits: sudoku"),
    ("processes_speed", "Training and sampling steps of every noise"),
)
NOTES = {
    "decoding_1_float32": (
        "One full pass per token is the least that a method without a cache can do, so what remains of `passes` below "
        "1 is the work of the cache, and `outside` is the work of everything that is not the network."
    ),
    "parallel_sorting": (
        "Given the prompt every answer is certain, and independent of the others: the best case of parallel commits, "
        "not a typical one."
    ),
    "processes_speed": (
        "Masked training as the library does it is faster than the row `masked`: it runs the head at masked positions "
        "alone. Noise that leaves no position certain cannot."
    ),
}
STUDIED = """## Quality against cost, every strategy

`undiffuse study frontier` on a text model: {about}. A quality below that of the text itself in bits per byte together
with a low entropy and many repetitions is text that repeats itself, not good text.

![Surprise, entropy and repetition against evaluations and rows](images/frontier.svg)
"""


def page() -> str:
    """The whole page; sections without a result file are left out."""
    parts = [HEAD]
    for name, title in SECTIONS:
        file = RESULTS / f"{name}.json"
        if file.exists():
            result = json.loads(file.read_text(encoding="utf-8"))
            parts += [f"## {title}\n", NOTES[name] + "\n"] if name in NOTES else [f"## {title}\n"]
            parts.append(_section(result))
    if (FRONTIER / STUDY).exists():
        asked, lines = results(FRONTIER)
        about = (FRONTIER / "about.txt").read_text(encoding="utf-8").strip()
        parts += [STUDIED.format(about=about), table(asked, lines)]
    return "\n".join(parts)


def _section(result: dict[str, Any]) -> str:
    machine = ", ".join(f"{name} {value}" for name, value in result["machine"].items())
    return "\n".join(
        [result["definition"], "", f"`{result['command']}` ({machine})", "", *markdown(result["rows"]), ""]
    )


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
