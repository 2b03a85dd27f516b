"""`undiffuse fill`: the blanks of a text, with probabilities."""

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import (
    AttentionKind,
    Cache,
    Candidates,
    DeadlineMs,
    Dtype,
    Family,
    GuidanceScale,
    Json,
    MaskId,
    MaxNfe,
    Model,
    ModelDevice,
    Plugins,
    Revision,
    Right,
    Samples,
    Seed,
    Set,
    Shift,
    Steps,
    StrategyKind,
    Threads,
    WatchIt,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..language_model import Filled, FilledObject


def fill(
    texts: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT|-", help="Texts with blanks; - reads standard input.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", metavar="F", help="Read the text from a file (JSONL: of every record).")
    ] = None,
    schema: Annotated[
        Path | None, typer.Option("--schema", metavar="F", help="Write a JSON object of this schema after the text.")
    ] = None,
    model: Model = None,
    top: Annotated[int, typer.Option("--top", metavar="K", min=1, help="How many answers to show for each blank.")] = 3,
    strategy: StrategyKind = None,
    steps: Steps = None,
    own: Set = None,
    cache: Cache = None,
    guidance: GuidanceScale = None,
    max_nfe: MaxNfe = None,
    deadline_ms: DeadlineMs = None,
    candidates: Candidates = None,
    right: Right = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature",
            metavar="T",
            help="0 takes the most probable tokens, 1 draws as the model does (default: 0 for one sample, 1 for "
            "several; 0.1 for one sample of a model without a mask).",
        ),
    ] = None,
    samples: Samples = 1,
    seed: Seed = 0,
    watch: WatchIt = False,
    json: Json = False,
    device: ModelDevice = None,
    dtype: Dtype = None,
    threads: Threads = None,
    plugins: Plugins = None,
    family: Family = None,
    mask_id: MaskId = None,
    attention: AttentionKind = None,
    shift: Shift = None,
    revision: Revision = None,
) -> None:
    """Fill the blanks of a text, with probabilities.

    [MASK] is one token, [MASK:5] five; [MASK:2-6] and ____ have a length that the model chooses. {x:choice(a|b)},
    {x:yesno}, {x:date}, {x:int(1-99)} and {x:/regex/} hold a text of their type. \\[MASK] is the literal text. The
    filled text goes to stdout, the table of answers to stderr. A causal model ranks candidates from the left by the
    probability of what follows them.
    """
    from ..language_model import LanguageModel
    from .console import print_json, stderr
    from .loading import load_model
    from .source import read_several, refuse_several, with_settings
    from .watch import Watch

    source = "" if schema and not texts and file is None else read_several(texts, file)
    if watch:
        refuse_several(source, "--watch")
    if schema:
        refuse_several(source, "--schema")
    wanted = _schema(schema) if schema else None
    options: dict[str, Any] = {
        "strategy": strategy,
        "steps": steps,
        "cache": cache,
        "guidance": guidance,
        "max_nfe": max_nfe,
        "deadline_ms": deadline_ms,
        "candidates": candidates,
        "right": right,
        "top": top,
        "samples": samples,
        "temperature": temperature,
        "seed": seed,
    }
    options = with_settings(options, own, LanguageModel.fill)
    loaded = load_model(model, device, dtype, threads, plugins, family, mask_id, attention, shift, revision)
    with Watch(loaded.tokenizer) if watch else nullcontext() as on_event:
        if wanted is not None:
            objects = loaded.fill_object(str(source), wanted, on_event=on_event, **options)
            _show_objects(objects, json)
            return
        answers = loaded.fill([source] if isinstance(source, str) else source, on_event=on_event, **options)
    for note in dict.fromkeys(each[0].note for each in answers if each[0].note):
        stderr().print(note, markup=False, style="dim")
    if json:
        records = [each[0].json() if samples == 1 else [filled.json() for filled in each] for each in answers]
        print_json(records[0] if isinstance(source, str) else records)
        return
    exact = file is not None and isinstance(source, str) and not sys.stdout.isatty()
    for filled in (filled for each in answers for filled in each):
        _show(filled, end="" if exact else "\n")


def _schema(path: Path) -> "Mapping[str, Any]":
    from ..errors import UserError
    from ..json_text import parsed

    try:
        return parsed(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a JSON schema: {error}") from error


def _show_objects(found: "list[FilledObject]", json: bool) -> None:
    from .console import print_json, print_text

    if json:
        print_json(found[0].json() if len(found) == 1 else [each.json() for each in found])
        return
    for each in found:
        print_text(each.text)
        _table(each.filled)


def _show(filled: "Filled", end: str) -> None:
    from .console import print_text

    print_text(filled.text, end=end)
    _table(filled)


def _table(filled: "Filled") -> None:
    from rich.table import Table
    from rich.text import Text

    from ..visible import one_line
    from .console import stderr

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    sized = any(hole.lengths for hole in filled.holes)
    ranked = any(hole.coverage is not None for hole in filled.holes)
    more = [*(["covered"] if ranked else []), *(["tokens"] if sized else [])]
    for title in ("blank", "answer", "probability", *more, "other answers"):
        table.add_column(title)
    for hole in filled.holes:
        others = "  ".join(f"{one_line(other.text)} {_shown(other.probability)}" for other in hole.alternatives)
        likely = sorted(hole.lengths, key=lambda length: -length.probability)[:3]
        lengths = "  ".join(f"{length.tokens} {_shown(length.probability)}" for length in likely)
        cells = [hole.name or str(hole.index + 1), one_line(hole.text), _shown(hole.probability)]
        cells += [*([_share(hole.coverage)] if ranked else []), *([lengths] if sized else [])]
        table.add_row(*map(Text, [*cells, others]))
    console = stderr()
    console.print(table)
    spent = "rows of candidates" if ranked else f"evaluations, {filled.tokens_per_forward:.2f} tokens each"
    console.print(f"{filled.nfe} {spent}; seed {filled.seed}", style="dim")


def _share(coverage: float | None) -> str:
    """How much of what the left side expects was compared, in per cent."""
    return "" if coverage is None else f"{round(100 * coverage)} %"


def _shown(probability: float) -> str:
    return f"{probability:.3f}" if probability >= 0.001 else f"{probability:.0e}"
