"""A language of thirteen words, solved: what a network has learned of it, and the error that no network escapes.

All 252 sentences are known, so is their entropy, and so is what a perfect network writes. Words that are shown in one
step are drawn apart from each other: "your cat are our friend" comes of two draws that are right, each for itself.
More steps avoid it; asking for the least likely word, given all others, and writing it anew repairs it.
"""

import json
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from rich.table import Table

from ..evaluate.infill import Accuracy
from ..language_model import LanguageModel
from .contest_plot import INK, OURS, picture
from .showpiece import Result, Showpiece, Stage
from .toy_language import LENGTH, LETTERS, disagrees, entropy, known, language, letters, perfect, read

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MINUTES, STEPS = 0.5, 700
RECORDS, SAMPLES = 4_500, 1_000
START = ">"
"""Stands before every sentence: where all is masked, a network that sees distances alone knows its place by it."""
ROUNDS = 2
"""Words of a sentence that are written anew, at most."""
BUDGETS = (1, 2, 3, 4, LENGTH + 1)
"""Steps for six words and the end; the last is one at a time."""
SIZES = ("tokenizer.kind=byte", f"model.context={LENGTH + 2}", "model.width=64", "model.depth=3", "model.heads=2")
EXCESS, RIGHT = 0.05, 0.95
"""The gate: bits of a sentence above the entropy, and the share of sentences written one word at a time."""


def run(stage: Stage) -> Result:
    console = stage.console
    console.rule("a language of thirteen words, solved", align="left")
    console.print(f"{len(language())} sentences such as: {'; '.join(read(s) for s in language()[::60])}")
    share = min(1.0, stage.minutes / MINUTES)
    samples = max(50, round(SAMPLES * share))
    found = [seed_of(stage, seed, max(2, round(STEPS * share)), samples) for seed in range(stage.seeds)]
    optimum = {steps: Accuracy(_right(perfect(steps, 4 * samples)), 4 * samples) for steps in BUDGETS}
    bits = [each["bits"] for each in found]
    console.print(
        f"bits of a sentence: {min(bits):.3f} to {max(bits):.3f} (bound), entropy {entropy():.3f}; "
        f"twin {min(each['twin_bits'] for each in found):.3f}"
    )
    lines = [_line(steps, found, optimum[steps]) for steps in BUDGETS]
    _print(stage, lines, found)
    gate: dict[str, Any] | None = None
    if stage.full:
        gate = gate_of(bits, lines)
        said = "holds" if gate["holds"] else "does NOT hold"
        style = "green" if gate["holds"] else "bold red"
        console.print(f"gate: {gate['promise']}: {gate['reached']}, {said}", style=style)
    else:
        console.print("Trained for less than it takes: no gate is stated.", style="dim")
    console.print(picture(stage.out / "picture.svg", [lambda axes: panel(axes, lines)]), style="dim", soft_wrap=True)
    return {
        "seeds": list(range(stage.seeds)),
        "entropy": entropy(),
        "bits": bits,
        "lines": lines,
        "gate": gate,
        "twin": [each["twin"] for each in found],
    }


def gate_of(bits: Sequence[float], lines: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What is promised, what was reached, and whether that is enough."""
    excess, share = max(bits) - entropy(), lines[-1]["share"]
    return {
        "promise": f"bound at most {EXCESS} bits above the entropy, {100 * RIGHT:g} % sentences one word at a time",
        "reached": f"{excess:.3f} bits, {100 * share:.1f} %",
        "holds": excess <= EXCESS and share >= RIGHT,
    }


def seed_of(stage: Stage, seed: int, steps: int, samples: int) -> dict[str, Any]:
    """Both models of a seed: bits of a sentence, and samples of every budget with what became of them."""
    chance = random.Random(seed)
    files = []
    for name, sentences in (("learned", chance.choices(language(), k=RECORDS)), ("every", language())):
        files.append(stage.out / f"{name}-{seed}.jsonl")
        records = (json.dumps({"prompt": START, "response": sentence}) + "\n" for sentence in sentences)
        files[-1].write_text("".join(records), encoding="utf-8")
    models = {}
    for name, recipe in (("diffusion", "default"), ("twin", "ar")):
        models[name] = stage.train(
            f"{name}-{seed}",
            files[0],
            valid=files[1],
            recipe=recipe,
            steps=steps,
            seed=seed,
            overrides=(*SIZES, "training.rows=64"),
        ).model
    model, drawn = models["diffusion"], {}
    for budget in BUDGETS:
        written = _sampled(model, "random", samples, seed, budget)
        drawn[budget] = {"written": written, "repaired": repair(model, written)}
    twin = _sampled(models["twin"], "left-to-right", samples, seed, None)
    return {
        "bits": _bits(model),
        "twin_bits": _bits(models["twin"]),
        "drawn": drawn,
        "twin": {"right": _right(twin), "asked": samples, "nfe": LENGTH + 1},
    }


def _bits(model: LanguageModel) -> float:
    """Bits of a sentence: the held-out text of the run is the whole language."""
    said = model.manifest["training"]["bound"]
    return float(said["bits_per_byte"]["mean"]) * LENGTH


def _sampled(model: LanguageModel, strategy: str, samples: int, seed: int, steps: int | None) -> list[str]:
    found = model.generate(START, length=LENGTH + 1, samples=samples, seed=seed, steps=steps, strategy=strategy)
    return [letters(each.text.removeprefix(START)) for each in found]


def repair(model: LanguageModel, texts: Sequence[str]) -> list[str]:
    """Each text with its least likely word written anew, where another is likelier given all others; twice at most."""
    vocabulary = model.predictor.process.vocabulary
    mask, eos = vocabulary.mask, vocabulary.eos
    assert mask is not None
    assert eos is not None
    ids = [[*model.tokenizer.encode(START + text), eos] for text in texts]
    allowed = torch.tensor([model.tokenizer.encode(letter)[0] for letter in LETTERS.values()])
    places = torch.arange(LENGTH)
    for _ in range(ROUNDS):
        now = torch.tensor(ids)
        hidden = now[:, None].repeat(1, LENGTH, 1)
        hidden[:, places, places + 1] = mask
        logits = model.logits(hidden.flatten(0, 1)).unflatten(0, (len(now), LENGTH))
        each = logits[:, places, places + 1][..., allowed].log_softmax(-1)
        best, which = each.max(-1)
        present = (now[:, 1:-1, None] == allowed).long().argmax(-1, keepdim=True)
        place = (best - each.gather(-1, present)[..., 0]).argmax(-1, keepdim=True)
        ids = now.scatter(1, place + 1, allowed[which.gather(1, place)]).tolist()
    return [model.tokenizer.decode_bytes(row[1:-1]).decode() for row in ids]


def _right(texts: Sequence[str]) -> int:
    return sum(text in known() for text in texts)


def _line(steps: int, found: Sequence[dict[str, Any]], optimum: Accuracy) -> dict[str, Any]:
    written = [text for each in found for text in each["drawn"][steps]["written"]]
    repaired = [text for each in found for text in each["drawn"][steps]["repaired"]]
    before, after = (Accuracy(_right(texts), len(texts)) for texts in (written, repaired))
    wrong = [(a, b) for a, b in zip(written, repaired, strict=True) if a not in known()]
    return {
        "steps": steps,
        "asked": before.count,
        "right": before.correct,
        "share": before.share,
        "interval": list(before.interval),
        "disagree": sum(disagrees(text) for text in written),
        "repaired": after.share,
        "repaired_interval": list(after.interval),
        "perfect": optimum.share,
        "perfect_interval": list(optimum.interval),
        "examples": [[read(a), read(b)] for a, b in wrong[:3]],
    }


def _print(stage: Stage, lines: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]) -> None:
    table = Table(
        "steps",
        "sentences",
        "95 % interval",
        "a perfect network",
        "wrong in number",
        "after repair",
        box=None,
        padding=(0, 2, 0, 0),
        header_style="dim",
    )
    for line in lines:
        low, high = line["interval"]
        table.add_row(
            str(line["steps"]),
            f"{100 * line['share']:.1f} %",
            f"{100 * low:.1f} to {100 * high:.1f} %",
            f"{100 * line['perfect']:.1f} %",
            f"{100 * line['disagree'] / line['asked']:.1f} %",
            f"{100 * line['repaired']:.1f} %",
        )
    stage.console.print(table)
    twin = Accuracy(sum(each["twin"]["right"] for each in found), sum(each["twin"]["asked"] for each in found))
    low, high = twin.interval
    stage.console.print(
        f"twin, {LENGTH + 1} evaluations: {100 * twin.share:.1f} % sentences ({100 * low:.1f} to {100 * high:.1f} %)"
    )
    for before, after in lines[0]["examples"] + lines[1]["examples"]:
        stage.console.print(f"written: {before}   repaired: {after}", markup=False)


def panel(axes: "Axes", lines: Sequence[dict[str, Any]]) -> None:
    """Sentences among what is written, against steps."""
    steps = [line["steps"] for line in lines]
    for key, label, colour, style in (
        ("share", "trained network", OURS, "-"),
        ("perfect", "perfect network", INK, "--"),
        ("repaired", "trained, repaired", "#009e73", "-"),
    ):
        ends = [line["interval" if key == "share" else f"{key}_interval"] for line in lines]
        shares = [line[key] for line in lines]
        bars = [
            [100 * max(0.0, s - a) for s, (a, _) in zip(shares, ends, strict=True)],
            [100 * max(0.0, b - s) for s, (_, b) in zip(shares, ends, strict=True)],
        ]
        axes.errorbar(
            steps,
            [100 * s for s in shares],
            yerr=bars,
            label=label,
            color=colour,
            linestyle=style,
            marker="o",
            markersize=4,
            linewidth=1.2,
            capsize=2,
        )
    axes.set_xscale("log", base=2)
    axes.set_xticks(steps, [str(each) for each in steps])
    axes.set_ylim(0, 104)
    axes.set_xlabel("steps, for six words and the end")
    axes.set_ylabel("sentences of the language, %")
    axes.set_title("words drawn together need not agree")
    axes.legend(frameon=False)


SHOWPIECE = Showpiece(
    "thirteen words: agreement errors of parallel decoding, made and repaired", MINUTES, run, several=True
)
