"""report.md: what came out of a run, for a reader."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from ..data.corpus import Corpus
from ..durable import write_bytes
from ..evaluate.compressors import xz_bits_per_byte, xz_bits_per_byte_after
from ..evaluate.copying import copying
from ..evaluate.ngram import best_order
from ..figures import error, figure
from ..language_model import LanguageModel
from ..language_model.defaults import default_strategy
from ..objective.objective import BUCKETS
from ..objective.times.estimator import WHOLE
from .answered import Answered
from .metrics import read_metrics
from .run_directory import RunDirectory

COMPARED = 32 * 2**20
"""Characters of training text that the baselines and the search for copies read at most: they would take minutes."""
WORD = re.compile(r"[^\W\d_]+")
SAMPLES = 3
SEED = 0
CURVE_ROWS = 10


def write_report(
    run: RunDirectory, model: LanguageModel, training: Mapping[str, Any], answered: Answered | None = None
) -> None:
    """Writes report.md; `training` is the manifest's section of that name, `answered` what a fine-tune changed."""
    train, valid = run.text
    texts, held_out = _compared(train), [document.text for document in valid.documents]
    lines = read_metrics(run.metrics)
    row = training["configuration"]["model"]["context"]
    # as long as what was learned, where more could be written
    length = row if model.predictor.traits.context > row else None
    made = model.generate(_beginning(model, held_out), length=length, samples=SAMPLES, seed=SEED)
    samples = [each.text for each in made]
    values = {
        "name": run.path.name,
        "directory": run.path,
        "t": training,
        "c": training["configuration"],
        "complete": training["step"] == training["ends"][-1],
        "duration": _duration(training["seconds"]),
        "tokenizer": model.tokenizer,
        "objective": _objective(training["objective"]),
        "untrained": untrained(training["objective"]),
        "baselines": _baselines(texts, held_out),
        "cut": f" (the first {COMPARED:,} characters of it)" if sum(map(len, texts)) >= COMPARED else "",
        "levels": _levels(),
        "buckets": _buckets(lines),
        "curve": _curve(lines),
        "seed": SEED,
        "samples": samples,
        "strategy": default_strategy(model.predictor, drawing=True),
        "noise": _noise(training["configuration"]),
        "copied": copying("\n".join(samples), texts),
        "example": example(train if run.configuration.data.apart else valid, run.configuration.data.apart),
        "size": _size,
        "answered": answered,
        "figure": figure,
        "error": error,
    }
    environment = Environment(
        loader=PackageLoader("undiffuse.training", ""),
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
    )
    environment.filters.update(quoted=_quoted, cell=_cell)
    write_bytes(
        run.path / "report.md",
        environment.get_template("report.md.jinja").render(values).encode(errors="backslashreplace"),
    )


def _beginning(model: LanguageModel, held_out: Sequence[str]) -> str:
    """What samples begin with: nothing, or the first word of the held-out text where a network needs a first token."""
    if not model.predictor.traits.first_given or model.tokenizer.start is not None:
        return ""
    return next((words[0] for words in map(str.split, held_out) if words), "")


def _compared(corpus: Corpus) -> list[str]:
    """The training text, or as much of its beginning as is compared."""
    texts: list[str] = []
    room = COMPARED
    for document in corpus.documents:
        texts.append(document.text[:room])
        room -= len(texts[-1])
        if room == 0:
            break
    return texts


def _baselines(train: Sequence[str], held_out: Sequence[str]) -> list[tuple[str, float]]:
    """Names and bits per byte of what a reader can compare with."""
    trained, scored = [text.encode() for text in train], [text.encode() for text in held_out]
    order, bits = best_order(trained, scored)
    together = b"".join(scored)
    return [
        (f"best byte n-gram (Witten–Bell, contexts of up to {order} bytes)", bits),
        ("xz, after the training text", xz_bits_per_byte_after(b"".join(trained), together)),
        ("xz, alone", xz_bits_per_byte(together)),
    ]


def _noise(configuration: Mapping[str, Any]) -> str:
    """The process in a line; none where the network is the autoregressive twin."""
    if configuration["model"]["causal"]:
        return "none: the network reads from left to right"
    process = {name: value for name, value in configuration["process"].items() if value is not None}
    if process["kind"] == "matrix" and process["moves"] not in ("band", "gaussian"):
        del process["width"]
    parts = [
        value["kind"]
        if isinstance(value, Mapping)
        else f"{name} {value}"
        if isinstance(value, str | int | float)
        else f"{name} of {len(value)} rows"
        for name, value in process.items()
    ]
    return ", ".join(str(part) for part in parts if part != "kind interpolating").removeprefix("kind ")


def _objective(described: Mapping[str, Any]) -> str:
    """Its kind, and where it is trained on part of the mask ratios, which."""
    kind, clip = str(described["kind"]), described.get("clip")
    return kind if not isinstance(clip, list) else f"{kind} (mask ratios {clip[0]:.2f} to {clip[1]:.2f})"


def untrained(described: Mapping[str, Any]) -> str:
    """What to know about a likelihood that the network was not trained for."""
    if described["kind"] in ("score-interpolation", "diffusion-lm"):
        return (
            "The objective has no bound of its own. This one is that of Gaussian noise, which holds for every network "
            "and which training did not minimize."
        )
    clip = described.get("clip")
    if not isinstance(clip, list) or tuple(clip) == WHOLE:
        return ""
    low, high = clip
    return (
        "This likelihood is an extrapolation: the bound is over all mask ratios, and training drew those from "
        f"{low:.2f} to {high:.2f} alone. On the other {100 * (1 - high + low):.0f} % of the range the network was "
        "never trained; what it does there counts, so the bound holds."
    )


def _losses(lines: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [line for line in lines if "buckets" in line]


def _levels() -> list[str]:
    return [f"{i / BUCKETS:.1f}–{(i + 1) / BUCKETS:.1f}" for i in range(BUCKETS)]


def _buckets(lines: Sequence[Mapping[str, Any]]) -> list[str]:
    """Means over the last tenth of the lines that have a value."""
    losses = _losses(lines)
    recent = [line["buckets"] for line in losses[-max(1, len(losses) // 10) :]]
    return [_mean([b[i] for b in recent if b[i] is not None]) for i in range(BUCKETS)]


def _curve(lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """About ten rows: step, the mean training loss since the row before, and the last validation until then."""
    losses = _losses(lines)
    held_out = {line["step"]: line["validation"]["bits_per_byte"]["mean"] for line in lines if "validation" in line}
    rows = []
    size = max(1, math.ceil(len(losses) / CURVE_ROWS))
    for start in range(0, len(losses), size):
        group = losses[start : start + size]
        seen = [step for step in held_out if group[0]["step"] <= step <= group[-1]["step"]]
        validated = figure(held_out[seen[-1]], 3) if seen else ""
        rows.append((f"{group[-1]['step']:,}", _mean([line["bits_per_byte"] for line in group]), validated))
    return rows


def _mean(values: Sequence[float]) -> str:
    return figure(sum(values) / len(values) if values else None, 3)


def example(corpus: Corpus, records: bool) -> str:
    """A few words of a text with one of them blanked; of records one that is whole."""
    texts = [document.text for document in corpus.documents]
    if records:
        text = next((text for text in texts if len(WORD.findall(text)) > 3), texts[0])
        words = list(WORD.finditer(text))
        place = words[len(words) // 2].span() if words else (0, len(text))
        return f"{text[: place[0]]}____{text[place[1] :]}"
    found = [word for word in " ".join(texts)[:2000].split() if word.isalpha() and len(word) < 20][:7]
    return " ".join([*found[:3], "____", *found[4:]])


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.1f} minutes" if seconds >= 60 else f"{seconds:.0f} seconds"


def _quoted(text: str) -> str:
    """As a quotation."""
    return "\n".join(f"> {line}" for line in text.splitlines()) or ">"


def _cell(text: str) -> str:
    """In a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|") or "(nothing)"


def _size(size: int) -> str:
    return f"{size / 1e6:.2f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
