"""What a comparison of recipes says, part by part: tables, and prose from `templates/`."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from .comparison import EXACT, NOT_MINIMIZED, ONE_SEED, Mean, System, finite, other_tokens, small

Asked = Mapping[str, Any]
REAL = "the text itself"
QUALITY = ("surprise", "perplexity", "entropy", "repetition")
MARK = f"{ONE_SEED} One seed:"


@dataclass(frozen=True)
class Table:
    """Cells as text. The first `words` columns are words, the others numbers."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1


@dataclass(frozen=True)
class Section:
    """`figures` are names of plots with what they show in words; `notes` stand below the tables, none of them empty."""

    name: str
    title: str
    meaning: str
    measured: str
    mind: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    figures: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, name: str, asked: Asked, counts: Iterable[int], tables: Iterable[Table], **values: Any) -> "Section":
        """Prose by the template of that name. `counts` are the numbers of seeds of what the tables show."""
        seen = list(counts)
        template = templates().get_template(f"{name}.jinja")
        context = template.new_context(
            {
                "asked": defaultdict(lambda: None, asked),
                "mark": MARK,
                "seeds": max(seen, default=0),
                "single": 1 in seen,
                **values,
            }
        )
        prose = {block: "".join(template.blocks[block](context)) for block in template.blocks}
        notes, figures = (
            [" ".join(line.split()) for line in re.findall(r"^- (.+)$", prose.pop(block), re.MULTILINE)]
            for block in ("notes", "figures")
        )
        return cls(
            name,
            **{block: " ".join(text.split()) for block, text in prose.items()},
            tables=tuple(each for each in tables if each.rows),
            notes=tuple(notes),
            figures=tuple((name, about) for name, _, about in (line.partition(": ") for line in figures)),
        )


@cache
def templates() -> Environment:
    """Prose of the parts and the two pages; text is escaped in HTML alone."""
    return Environment(
        loader=PackageLoader("undiffuse.study", "templates"),
        undefined=StrictUndefined,
        autoescape=lambda name: name is not None and ".html" in name,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def sections(asked: Asked, found: Sequence[System]) -> list[Section]:
    """Those that any system has something for."""
    parts = (_likelihood(asked, found), _generation(asked, found), _repair(asked, found), _infill(asked, found))
    return [part for part in parts if part.tables]


def facts(asked: Asked) -> list[tuple[str, str]]:
    """What was asked, but for the numbers of the real text, as lines of a name and a value."""
    return [
        line for name, value in asked.items() if name != "text" or not _is_quality(value) for line in _flat(name, value)
    ]


def refusals(found: Sequence[System]) -> list[str]:
    """One line per recipe and part that it does not have."""
    return [f"{each.recipe}, {part}: {reason}" for each in found for part, reason in each.refused]


def _likelihood(asked: Asked, found: Sequence[System]) -> Section:
    shown = [(each, each.bits) for each in found if each.bits]
    bounds = []
    for each, bits in shown:
        parts = (_mean(each.likelihood(name), 3) for name in ("prior", "diffusion", "reconstruction"))
        draws = "" if bits.within is None or each.kind == EXACT else small(bits.within, 3)
        bounds.append((each.recipe, each.kind, str(bits.n), bits.show(), draws, *parts))
    costs: dict[str, Callable[[Mean | None], str]] = {
        "steps": lambda mean: _mean(mean, 0),
        "tokens": _big,
        "epochs": lambda mean: _mean(mean, 1),
        "tokens_per_second": _big,
        "seconds": lambda mean: _mean(mean, 1),
        "parameters": _big,
    }
    trained = [each for each in found if each.training("steps")]
    cost_rows = [(each.recipe, *(show(each.training(name)) for name, show in costs.items())) for each in trained]
    heads = ("recipe", "likelihood", "seeds", "bits/byte", "± of draws", "prior", "diffusion", "reconstruction")
    cost_heads = ("recipe", "steps", "tokens", "epochs", "tokens/s", "seconds", "parameters")
    return Section.of(
        "likelihood",
        asked,
        (bits.n for _, bits in shown),
        (Table(heads, tuple(bounds), words=2), Table(cost_heads, tuple(cost_rows))),
        bounds=any(each.kind != EXACT for each, _ in shown),
        not_minimized=any(each.kind == NOT_MINIMIZED for each, _ in shown),
        noted=[(each.recipe, note) for each, _ in shown for note in each.notes],
    )


def _generation(asked: Asked, found: Sequence[System]) -> Section:
    lines = [(each, line) for each in found for line in each.generation]
    rows: list[tuple[str, ...]] = [
        (
            each.recipe,
            line.strategy,
            "" if line.steps is None else str(line.steps),
            f"{line.nfe.mean:.1f}",
            line.surprise.show(),
            f"{line.perplexity:.1f}",
            f"{line.entropy.mean:.2f}",
            f"{line.repetition.mean:.3f}",
        )
        for each, line in lines
    ]
    real = real_texts(asked, found) if rows else []
    text = asked.get("text") or {}
    heads = ("recipe", "strategy", "steps", "NFE", "bits/byte of samples", "perplexity", "entropy", "repetition")
    return Section.of(
        "generation",
        asked,
        (line.surprise.n for _, line in lines),
        [Table(heads, (*(_real_row(name, quality) for name, quality in real), *rows), words=2)],
        samples=text if all(name in text for name in ("samples", "prompt", "length", "order")) else {},
        real=REAL if real else "",
        odd=other_tokens(found),
    )


def real_texts(asked: Asked, found: Sequence[System]) -> list[tuple[str, Mapping[str, Any]]]:
    """The numbers of the real text by name: that of the study first, then those of recipes with tokens of their own."""
    shared = asked.get("text")
    real = [(REAL, shared)] if isinstance(shared, Mapping) and _is_quality(shared) else []
    known = [_numbers(quality) for _, quality in real]
    others: dict[tuple[Any, ...], tuple[list[str], Mapping[str, Any]]] = {}
    for each in found:
        if each.real and _numbers(each.real) not in known:
            others.setdefault(_numbers(each.real), ([], each.real))[0].append(each.recipe)
    return real + [(f"{REAL}, for {', '.join(names)}", quality) for names, quality in others.values()]


def _repair(asked: Asked, found: Sequence[System]) -> Section:
    lines = [(each, line) for each in found for line in each.repair]
    rows = [
        (
            each.recipe,
            line.method,
            f"{100 * line.share:g} %",
            f"{line.nfe.mean:.1f}",
            str(line.repaired.pooled.count),
            line.repaired.show(),
            line.moved.show(),
            line.damaged.show(),
            line.net.show(),
        )
        for each, line in lines
    ]
    heads = ("recipe", "method", "wrong", "NFE", "planted", "repaired", "still wrong, changed", "damaged", "net gain")
    return Section.of(
        "repair",
        asked,
        (line.net.n for _, line in lines),
        [Table(heads, tuple(rows), words=2)],
        methods=list(dict.fromkeys(line.method for _, line in lines)),
        odd=other_tokens(found),
    )


def _infill(asked: Asked, found: Sequence[System]) -> Section:
    shown = [(each.recipe, each.infill) for each in found if each.infill]
    rows = [
        (
            name,
            str(share.pooled.correct),
            str(share.pooled.count),
            share.show(),
            "" if share.over.between is None else f"{100 * share.over.between:.1f} %",
        )
        for name, share in shown
    ]
    return Section.of(
        "infill",
        asked,
        (share.over.n for _, share in shown),
        [Table(("recipe", "right", "of", "top-1", "± over seeds"), tuple(rows))],
        odd=other_tokens(found),
    )


SAMPLING: dict[str, Callable[[Any], str]] = {
    "NFE": lambda line: f"{line.nfe.mean:.1f}",
    "bits/byte of samples": lambda line: line.surprise.show(),
    "entropy": lambda line: line.entropy.show(2),
}
CORRECTION: dict[str, Callable[[Any], str]] = {
    "NFE": SAMPLING["NFE"],
    "repaired": lambda line: line.repaired.show(),
    "damaged": lambda line: line.damaged.show(),
    "net gain": lambda line: line.net.show(),
}


def against(found: Sequence[System], recipes: Sequence[str]) -> Table:
    """Some recipes side by side: a column each, a row per quantity; differences are by seed from the first of them."""
    chosen = {each.recipe: each for each in found}
    there = [chosen[name] for name in recipes if name in chosen]
    rows: list[tuple[str, ...]] = []
    if there and there[0].bits:
        first = there[0].bits
        rows.append(("likelihood", *(each.kind for each in there)))
        rows.append(("bits/byte", *(each.bits.show() if each.bits else "" for each in there)))
        apart = [each.bits.minus(first) if each.bits else None for each in there[1:]]
        signed = (("+" if each.mean > 0 else "") + each.show() if each else "" for each in apart)
        rows.append((f"difference from {there[0].recipe}", "", *signed))
    for name, digits in (("steps", 0), ("seconds", 1)):
        rows.append((f"{name} of training", *(_mean(each.training(name), digits) for each in there)))
    samples = [{f"{line.strategy}, {line.steps} steps": line for line in each.generation} for each in there]
    fixes = [{f"{line.method}, {100 * line.share:g} % wrong": line for line in each.repair} for each in there]
    for shown, quantities in ((samples, SAMPLING), (fixes, CORRECTION)):
        for about in dict.fromkeys(about for lines in shown for about in lines):
            for name, show in quantities.items():
                rows.append((f"{about}: {name}", *(show(lines[about]) if about in lines else "" for lines in shown)))
    rows.append(("hidden tokens, top-1", *(each.infill.show() if each.infill else "" for each in there)))
    return Table(("", *(each.recipe for each in there)), tuple(row for row in rows if any(row[1:])))


def _mean(mean: Mean | None, digits: int) -> str:
    return "" if mean is None else f"{mean.mean:.{digits}f}"


def _big(mean: Mean | None) -> str:
    """Three digits with a unit: 1.84 M."""
    if mean is None:
        return ""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if mean.mean >= size:
            scaled = mean.mean / size
            return f"{scaled:.{0 if scaled >= 100 else 1 if scaled >= 10 else 2}f} {unit}"
    return f"{mean.mean:.0f}"


def _real_row(name: str, quality: Mapping[str, Any]) -> tuple[str, ...]:
    error = f" ± {small(quality['error'], 3)}" if finite(quality.get("error")) else ""
    numbers = (f"{quality['surprise']:.3f}{error}", f"{quality['perplexity']:.1f}", f"{quality['entropy']:.2f}")
    return (name, "", "", "", *numbers, f"{quality['repetition']:.3f}")


def _numbers(quality: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(quality.get(name) for name in QUALITY)


def _is_quality(value: Any) -> bool:
    return isinstance(value, Mapping) and "surprise" in value


def _flat(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [line for key, each in value.items() for line in _flat(f"{name}, {key}", each)]
    if isinstance(value, list | tuple):
        return [(name, ", ".join(map(_plain, value)))] if value else []
    return [] if value is None or value == "" else [(name, _plain(value))]


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
