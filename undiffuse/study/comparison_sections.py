"""What a comparison of recipes says, part by part: what a quantity means, how it was measured, what to mind, tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .comparison import EXACT, NOT_MINIMIZED, ONE_SEED, Mean, Share, System, finite, other_tokens, small

Asked = Mapping[str, Any]
REAL = "the text itself"
MARK = f"{ONE_SEED} One seed:"
OVER_SEEDS = "± is the standard error over seeds."
METHODS = {
    "reverse": "the model's own reverse process from the noise level at which that share of the tokens would be wrong.",
    "relook": "tokens are compared with what their surroundings expect, and those with the highest odds of being "
    "wrong are changed.",
}


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
    notes: tuple[str, ...] = ()
    figures: tuple[tuple[str, str], ...] = ()


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


def budget(asked: Asked) -> str:
    """What every run was given, and what that makes comparable."""
    threads = asked.get("threads")
    machine = f"on {threads} {'thread' if threads == 1 else 'threads'} of one machine" if threads else "on one machine"
    if asked.get("minutes"):
        return (
            f"Every run trained for {asked['minutes']:g} minutes of wall clock {machine}. That is equal time and not "
            "equal data: a recipe with cheaper steps saw more tokens, and its lead may be one of speed. Times hold "
            "for this machine and this size of network."
        )
    if asked.get("steps"):
        return (
            f"Every run trained for {asked['steps']:g} steps of the same batch, {machine}. That is equal tokens and "
            "not equal time: a recipe with dearer steps took longer, as the column of seconds says."
        )
    return "The budget of a run is among what was asked."


def _likelihood(asked: Asked, found: Sequence[System]) -> Section:
    shown = [(each, each.bits) for each in found if each.bits]
    bounds = []
    for each, bits in shown:
        parts = (_mean(each.likelihood(name), 3) for name in ("prior", "diffusion", "reconstruction"))
        draws = "" if bits.within is None or each.kind == EXACT else small(bits.within, 3)
        bounds.append((each.recipe, each.kind, str(bits.n), bits.show(), draws, *parts))
    costs = [
        (
            each.recipe,
            _mean(each.training("steps"), 0),
            _big(each.training("tokens")),
            _mean(each.training("epochs"), 1),
            _big(each.training("tokens_per_second")),
            _mean(each.training("seconds"), 1),
            _big(each.training("parameters")),
        )
        for each in found
        if each.training("steps")
    ]
    counts = [bits.n for _, bits in shown]
    notes = [f"{OVER_SEEDS} {_of_few(max(counts))}"] if any(n > 1 for n in counts) else []
    if any(each.kind != EXACT for each, _ in shown):
        notes.append(
            "± of draws is the mean standard error within a run, over the draws of noise that the bound is estimated "
            "by."
        )
    if 1 in counts:
        notes.append(f"{MARK} ± is that of the draws alone and says nothing of other seeds; an exact value has none.")
    notes += [f"{each.recipe}: {note}" for each, _ in shown for note in each.notes]
    mind = (
        "An exact value is what the model assigns. A bound lies above that by an unknown amount, so a bound above an "
        "exact value does not show a worse model. Bounds of different numbers of steps are not the same quantity. "
        "Differences of less than about two standard errors may be chance."
    )
    if any(each.kind == NOT_MINIMIZED for each, _ in shown):
        mind += (
            " Where training did not minimize the bound, it holds for the model all the same, and judges it by what "
            "it was not trained for; the loss of such a run is no likelihood, and no perplexity follows from it."
        )
    heads = ("recipe", "likelihood", "seeds", "bits/byte", "± of draws", "prior", "diffusion", "reconstruction")
    cost_heads = ("recipe", "steps", "tokens", "epochs", "tokens/s", "seconds", "parameters")
    return Section(
        "likelihood",
        "Likelihood and cost",
        "Bits per byte of the held-out text: −log2 of its probability under the model, or an upper bound on that, "
        "over the number of its bytes. Lower is better. The unit is the same for every tokenizer. Prior, diffusion and "
        "reconstruction are the terms of the bound: the noise at the end, the way back, and the last step to clean "
        "tokens.",
        f"{budget(asked)} Steps, tokens, seconds and parameters are means over seeds; epochs are passes over the "
        "training text.",
        mind,
        _filled(Table(heads, tuple(bounds), words=2), Table(cost_heads, tuple(costs))),
        tuple(notes),
        (
            ("likelihood", "Bits per byte of every recipe with its standard error, best at the top"),
            (
                "curves",
                "Validation during training against seconds and steps; the first validations may lie above the plot",
            ),
        ),
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
    notes = [OVER_SEEDS] if any(line.surprise.n > 1 for _, line in lines) else []
    if any(line.surprise.n == 1 for _, line in lines):
        notes.append(f"{MARK} ± is the standard error over its samples.")
    if rows:
        real = real_texts(asked, found)
        rows = [_real_row(name, quality) for name, quality in real] + rows
        notes += [f"± of {REAL} is the standard error over its pieces."] if real else []
    heads = ("recipe", "strategy", "steps", "NFE", "bits/byte of samples", "perplexity", "entropy", "repetition")
    return Section(
        "generation",
        "Generated text",
        "Bits per byte of samples under a scorer that is not the model: an n-gram of bytes, fitted to the training "
        "text. Perplexity is the same per token of the samples. Entropy is that of a sample's own tokens in nats; "
        "repetition is the share of its runs of four tokens that it had before. NFE is the number of evaluations of "
        "the network per sample.",
        f"{_samples(asked)}Numbers are means over seeds, that of perplexity a geometric one.",
        "Read the columns together: text that repeats common phrases has few bits per byte, a low entropy and many "
        "repetitions, and is bad. The real text says what each should be; nearer is better, and lower is not. NFE "
        "counts evaluations, whatever one costs: an autoregressive model takes one per token, which its cache makes "
        "cheap. Under block diffusion, steps are those of one block. Samples are drawn, so small differences may be "
        "chance."
        + _per_token(found, "NFE is for other lengths of text, and perplexity, entropy and repetition are per token"),
        _filled(Table(heads, tuple(rows), words=2)),
        tuple(notes),
        (("generation", "Bits per byte and entropy of generated text against evaluations of the network"),),
    )


def real_texts(asked: Asked, found: Sequence[System]) -> list[tuple[str, Mapping[str, Any]]]:
    """The numbers of the real text by name: that of the study first, then those of recipes with tokens of their own."""
    shared = asked.get("text")
    real = [(REAL, shared)] if isinstance(shared, Mapping) and _is_quality(shared) else []
    others: dict[tuple[Any, ...], tuple[list[str], Mapping[str, Any]]] = {}
    for each in found:
        if each.real and not any(_same(each.real, known) for _, known in real):
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
    notes = [
        "Shares are of counts pooled over seeds, with 95 % Wilson intervals. All seeds are given the same errors, so "
        "an interval is one for these errors, and somewhat narrow for others."
    ]
    if any(line.net.n > 1 for _, line in lines):
        notes.append("± of the net gain is the standard error over seeds.")
    if any(line.net.n == 1 for _, line in lines):
        notes.append(f"{MARK} intervals count tokens alone, and the net gain has no error.")
    methods = dict.fromkeys(line.method for _, line in lines)
    told = " ".join(f"{name}: {METHODS[name]}" for name in methods if name in METHODS)
    return Section(
        "repair",
        "Self-correction",
        "Some tokens of held-out text were replaced by others, drawn uniformly, and the model was told how many and "
        "not where. Repaired is the share of wrong tokens that it set right; damaged is the share of right tokens "
        "that it changed. Net gain is (repaired − damaged tokens) per planted error: 1 is a perfect repair, 0 leaves "
        "as many errors as there were, and below 0 the method does harm.",
        " ".join(filter(None, [_windows(asked), told])),
        "A change to another sensible word counts as damage. What changes more repairs more and damages more, so "
        "neither share ranks alone. Methods cost different numbers of evaluations, which the column NFE gives per "
        "window." + _per_token(found, "the errors planted there are other ones"),
        _filled(Table(heads, tuple(rows), words=2)),
        tuple(notes),
        (("repair", "Share of planted errors repaired, share of right tokens damaged, and net gain"),),
    )


def _infill(asked: Asked, found: Sequence[System]) -> Section:
    shown = [(each.recipe, each.infill) for each in found if each.infill]
    rows = [(name, str(s.pooled.correct), str(s.pooled.count), s.show(), _spread(s)) for name, s in shown]
    notes = ["Intervals are 95 % Wilson intervals of counts pooled over seeds, which are asked for the same tokens."]
    if any(share.over.n > 1 for _, share in shown):
        notes.append("± over seeds is the standard error of the mean of the seeds' shares.")
    if any(share.over.n == 1 for _, share in shown):
        notes.append(f"{MARK} the interval is of its own blanks.")
    number = f"{asked['blanks']} tokens" if asked.get("blanks") else "Tokens"
    return Section(
        "infill",
        "Hidden tokens",
        "How often the best guess for a hidden token of held-out text is the token that stood there, bit for bit.",
        f"{number} of the held-out text, one hidden at a time with the text around it given; all recipes of one "
        "tokenizer are asked for the same ones.",
        "A good guess that is another token counts as wrong."
        + _per_token(found, "other tokens are hidden there, and short ones are easier to name"),
        _filled(Table(("recipe", "right", "of", "top-1", "± over seeds"), tuple(rows))),
        tuple(notes),
        (("infill", "Share of hidden tokens that the best guess names, with 95 % intervals"),),
    )


def against(found: Sequence[System], recipes: Sequence[str]) -> Table:
    """Some recipes side by side: a column each, a row per quantity; differences are by seed from the first of them."""
    chosen = {each.recipe: each for each in found}
    there = [chosen[name] for name in recipes if name in chosen]
    rows: list[tuple[str, ...]] = []
    if there and there[0].bits:
        first = there[0].bits
        rows.append(("likelihood", *(each.kind for each in there)))
        rows.append(("bits/byte", *(_show(each.bits) for each in there)))
        apart = [each.bits.minus(first) if each.bits else None for each in there[1:]]
        rows.append((f"difference from {there[0].recipe}", "", *(_signed(each) for each in apart)))
    for name, digits in (("steps", 0), ("seconds", 1)):
        rows.append((f"{name} of training", *(_mean(each.training(name), digits) for each in there)))
    for strategy, steps in dict.fromkeys((line.strategy, line.steps) for each in there for line in each.generation):
        lines = [[x for x in each.generation if (x.strategy, x.steps) == (strategy, steps)] for each in there]
        about = f"{strategy}, {steps} steps"
        rows.append((f"{about}: NFE", *(f"{line[0].nfe.mean:.1f}" if line else "" for line in lines)))
        rows.append((f"{about}: bits/byte of samples", *(line[0].surprise.show() if line else "" for line in lines)))
        rows.append((f"{about}: entropy", *(line[0].entropy.show(2) if line else "" for line in lines)))
    for method, share in dict.fromkeys((line.method, line.share) for each in there for line in each.repair):
        fixed = [[x for x in each.repair if (x.method, x.share) == (method, share)] for each in there]
        about = f"{method}, {100 * share:g} % wrong"
        rows.append((f"{about}: NFE", *(f"{line[0].nfe.mean:.1f}" if line else "" for line in fixed)))
        rows.append((f"{about}: repaired", *(line[0].repaired.show() if line else "" for line in fixed)))
        rows.append((f"{about}: damaged", *(line[0].damaged.show() if line else "" for line in fixed)))
        rows.append((f"{about}: net gain", *(line[0].net.show() if line else "" for line in fixed)))
    rows.append(("hidden tokens, top-1", *(each.infill.show() if each.infill else "" for each in there)))
    return Table(("", *(each.recipe for each in there)), tuple(row for row in rows if any(row[1:])))


def _show(mean: Mean | None) -> str:
    return mean.show() if mean else ""


def _signed(mean: Mean | None) -> str:
    if mean is None:
        return ""
    return ("+" if mean.mean > 0 else "") + mean.show()


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


def _spread(share: Share) -> str:
    return "" if share.over.between is None else f"{100 * share.over.between:.1f} %"


def _of_few(n: int) -> str:
    """How well an error from n seeds is known: a standard deviation, to 1/√(2(n − 1)) of itself."""
    return f"From {n} seeds that error is itself known to about {100 / (2 * (n - 1)) ** 0.5:.0f} %."


def _per_token(found: Sequence[System], words: str) -> str:
    odd = other_tokens(found)
    return f" Another tokenizer: {', '.join(odd)}; {words}, so these do not compare with the others." if odd else ""


def _samples(asked: Asked) -> str:
    text = asked.get("text") or {}
    if not all(name in text for name in ("samples", "prompt", "length", "order")):
        return ""
    return (
        f"{text['samples']} samples of {text['length']} tokens after prompts of {text['prompt']} from the held-out "
        f"text, for each run and number of steps; the n-gram's contexts have {text['order']} bytes. "
    )


def _windows(asked: Asked) -> str:
    if not all(asked.get(name) for name in ("windows", "share", "repair_steps")):
        return ""
    return (
        f"{asked['windows']} windows as long as the context, {100 * asked['share']:g} % of their tokens wrong, and at "
        f"most {asked['repair_steps']} evaluations for each; the same errors for all recipes of one tokenizer."
    )


def _filled(*tables: Table) -> tuple[Table, ...]:
    return tuple(each for each in tables if each.rows)


def _real_row(name: str, quality: Mapping[str, Any]) -> tuple[str, ...]:
    error = f" ± {small(quality['error'], 3)}" if finite(quality.get("error")) else ""
    numbers = (f"{quality['surprise']:.3f}{error}", f"{quality['perplexity']:.1f}", f"{quality['entropy']:.2f}")
    return (name, "", "", "", *numbers, f"{quality['repetition']:.3f}")


def _numbers(quality: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(quality.get(name) for name in ("surprise", "perplexity", "entropy", "repetition"))


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return _numbers(one) == _numbers(other)


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
