"""Takes in what `undiffuse demo NAME --seeds 3 --out DIRECTORY/NAME` left, and writes docs/showpieces.md from it.

python -m benchmarks.showpieces [DIRECTORY/NAME …]

Without a directory the page is written again from the files in benchmarks/results/showpieces.
"""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from undiffuse.demo.reversal_page import by_question, told

from .report import RESULTS, machine, markdown

ROOT = Path(__file__).parents[1]
PAGE, KEPT = ROOT / "docs" / "showpieces.md", RESULTS / "showpieces"
HEAD = """# Showpieces

Small tasks that a model learns within minutes and that can be checked: `undiffuse demo NAME`. Each trains a masked
diffusion model and its autoregressive twin (the same network, causal, trained on the next token) for about the same
time, asks both the same questions, prints a table, draws a picture and says whether what it promises holds. This page
is written by `python -m benchmarks.showpieces` from recorded runs of as many seeds as each command says; intervals are
95 % (Wilson) over the questions of all seeds together, and "by seed" shows how far seeds differ. Runs count steps and
never look at a clock, so a busy machine changes no number; `--minutes` scales the steps, as two quiet cores would take
them.

What they have in common: with one token per evaluation the **order** is a choice, which a model that writes from left
to right does not have, and it matters where some tokens are surer than others. Where the answer is certain given the
question, many tokens are written at once; where words depend on each other, they must not be.

Two things that were learned on the way, since others will meet them too:

- **A canvas without a place for the end of the text is one that was never seen.** Records are learned with the end
  behind them. A network that added eight digits with a bound of 0.001 bits per byte got 57 % of the sums right when it
  was asked for nine tokens, its first or last digit wrong, and was asked for ten from then on: nine and the end.
- **Where all is masked, a network that sees distances alone does not know where it is.** The thirteen words below,
  learned without anything in front, stayed 1.45 bits of a sentence above the entropy; with one fixed letter in front
  the bound met it. Cells of a sudoku are told their row and column.

One that is not here is a form of five fields filled from a sentence. What is filled always is a valid object; the
values are those of the sentence in two cases of three, where they stand near the form, and the twin has all of them. A
masked network of this size copies over a distance badly ([log](log.md), 2026-12-01), so typed fields are for a choice
between values, and for models that were trained longer.
"""
PACKAGED = {"reversal": ROOT / "undiffuse" / "demo" / "reversal.json"}
"""Records that `undiffuse demo` prints, which come with the package."""
SECTIONS: Mapping[str, tuple[str, str]] = {
    "reversal": (
        "The reversal curse: said from one end, asked from the other",
        "Sentences about the capitals, regions, currencies and languages of 131 countries. Half of the facts are "
        "stated in both wordings of their relation (*The capital of Peru is Lima.*, *Lima is the capital of "
        "Peru.*), a quarter in either one alone; every seed draws anew which, and 20 questions of a kind. Both "
        "models learn the same sentences in as many steps. What was said comes back from the diffusion model with "
        "the blank at either end. The twin reads from the left alone: it writes on to a blank that stands last, "
        "and of an earlier one it ranks about a thousand candidates by all that follows. A capital that was said "
        "from one end alone, a country and its only name, is seldom known from the other: **being trained on "
        "blanks at both ends of a sentence does not turn it round**. No gate is on that. Currencies and languages "
        "are shared by countries, so that a neighbor may tell them; a region in other words is asked from the end "
        "from which it was said. A space before an answer is forgiven.",
    ),
    "sort": (
        "Sorting ten digits: how many at once?",
        "Given the list every digit of the answer is certain, so nothing is lost by writing all of them at once: "
        "by a threshold of 0.9 the whole answer and its end come out of one evaluation. The twin learns the task "
        "as well, and takes an evaluation for each token.",
    ),
    "addition": (
        "Adding eight digits: which digit first?",
        "A digit of the sum depends on the two above it and on whether a one is carried into it. Where the "
        "columns below add up to 9 the carry comes from further away. The right panel shows when confidence "
        "decided digits, by the length of that chain.",
    ),
    "sudoku": (
        "Sudokus of six rows: the surest cell first",
        "The diffusion model learns filled grids with any cells hidden, and fills puzzles of 12 to 22 blanks with "
        "one solution. The twin cannot see a clue that comes later, so it reads the puzzle and writes the grid. "
        "Puzzles that are asked are not scrambles of those that were learned. Decided by confidence, nearly every "
        "puzzle comes out; the same network errs where it must name an uncertain cell early.",
    ),
    "toy": (
        "Thirteen words, solved",
        "A language of 252 sentences of six words (the thirteen words *we, you, they, our, your, their, cat, dog, "
        "friend, is, are, s* and padding), of which everything is known: the entropy, 7.977 bits, and what a "
        "perfect network would write. Words that are shown in one step are drawn apart from each other and need "
        "not agree, however well the network knows the language: *your cat are our friend*. Fewer words per step "
        "avoid the error; writing the least likely word of a finished sentence anew, given all others, twice at "
        "most, repairs most of it.",
    ),
}


def take(directory: Path) -> None:
    """Keeps the result and the picture of a demo."""
    name = directory.name
    KEPT.mkdir(parents=True, exist_ok=True)
    result = json.loads((directory / "result.json").read_text())
    command = f"undiffuse demo {name}" + (f" --seeds {len(result['seeds'])}" if len(result["seeds"]) > 1 else "")
    record = {"command": command, "machine": machine(1), "result": result}
    for file in (KEPT / f"{name}.json", *([PACKAGED[name]] if name in PACKAGED else [])):
        file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    shutil.copy(directory / "picture.svg", ROOT / "docs" / "images" / f"showpiece_{name}.svg")


def page() -> str:
    """The page, of the showpieces that have a recorded run."""
    parts = [HEAD]
    for name, (title, text) in SECTIONS.items():
        file = KEPT / f"{name}.json"
        if not file.exists():
            continue
        record = json.loads(file.read_text())
        parts.append(f"## {title}\n")
        parts.append(f"`{record['command']}`\n")
        parts.append(f"{text.strip()}\n")
        parts.append(f"![{title}](images/showpiece_{name}.svg)\n")
        parts.append("\n".join(tables(record["result"])) + "\n")
    return "\n".join(parts)


def tables(result: Mapping[str, Any]) -> list[str]:
    kinds = {"way": contest, "blank": reversal, "perfect": toy}
    rows = next(of for key, of in kinds.items() if key in result["lines"][0])(result["lines"])
    said = [*markdown(rows), ""]
    if "entropy" in result:
        said += [bits(result), ""]
    if "decided_at" in result:
        said += [decided(result["decided_at"]), ""]
    if result.get("gate") is not None:
        said += [gate(result["gate"])]
    return said


def contest(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [
        {
            "decoded by": line["way"],
            f"right of {line['asked']}": percent(line["share"]),
            "95 % interval": interval(line["interval"]),
            "by seed": ", ".join(percent(share) for share in line["by_seed"]),
            "evaluations": f"{line['nfe']:.1f}",
        }
        for line in lines
    ]


def reversal(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [
        {
            "asked": kind,
            "the blank": place,
            "of": str(both["twin"]["asked"]),
            **{f"{by}, right": told(line) for by, line in both.items()},
            **{f"{by}, by seed": ", ".join(f"{100 * s:.0f} %" for s in line["by_seed"]) for by, line in both.items()},
            **{f"{by}, evaluations": f"{line['evaluations']:,.0f}" for by, line in both.items()},
        }
        for (kind, place), both in by_question(lines).items()
    ]


def toy(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [
        {
            "steps": str(line["steps"]),
            f"sentences of {line['asked']}": percent(line["share"]),
            "95 % interval": interval(line["interval"]),
            "a perfect network": percent(line["perfect"]),
            "wrong in number": percent(line["disagree"] / line["asked"]),
            "after the repair": percent(line["repaired"]),
        }
        for line in lines
    ]


def bits(result: Mapping[str, Any]) -> str:
    """The bound of each seed, and the twin's sentences."""
    bounds = ", ".join(f"{value:.3f}" for value in result["bits"])
    right, asked = (sum(each[key] for each in result["twin"]) for key in ("right", "asked"))
    return (
        f"Bits of a sentence, by seed: {bounds} (bound); entropy {result['entropy']:.3f}. "
        f"The twin writes {percent(right / asked)} sentences in {result['twin'][0]['nfe']} evaluations."
    )


def decided(means: Mapping[str, float]) -> str:
    """When confidence decided digits, by the chain that their carry comes through."""
    named = [f"{length}{' or more' if length == max(means) else ''}: {mean:.2f}" for length, mean in means.items()]
    return (
        f"Decided as number so and so of nine, on average, by the columns below that add up to 9: {', '.join(named)}."
    )


def gate(found: Mapping[str, Any]) -> str:
    holds = "**holds**" if found["holds"] else "**does not hold**"
    return f"Gate, {found['promise']}: {found['reached']}; it {holds}."


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def interval(ends: Sequence[float]) -> str:
    return f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f} %"


if __name__ == "__main__":
    for given in sys.argv[1:]:
        take(Path(given))
    PAGE.write_text(page())
